//! Halves as a bundle has them: tensors of fixed dimensions behind a batch.
//!
//! Whether a half takes a batch is tried: two items together must give what each gives alone. Where they do not, because
//! the number 1 is baked into a reshape, say, the half declares its batch as 1, and the cloud runs a request's frames
//! one after the other.

use cloud_decoder::Runtime;
use lopside_onnx::{Dim, encode, proto::ModelProto, set_dims};

use super::tensor::Named;
use crate::{TrainingError, engines::OrtModel};

/// The largest difference between an item in a batch and alone, of the largest magnitude.
const TOLERANCE: f32 = 1e-4;

/// A half, ready to run.
pub(super) struct Fixed {
    pub(super) name: &'static str,
    pub(super) model: ModelProto,
    /// Why it takes one item at a time.
    pub(super) one_by_one: Option<String>,
}

impl Fixed {
    /// `model` with these ends, which the graph has. `items` are two items of its inputs, one after the other.
    pub(super) fn new(
        name: &'static str,
        mut model: ModelProto,
        ends: &[&Named],
        items: &[Vec<f32>],
        runtime: &Runtime,
    ) -> Result<Self, TrainingError> {
        // What the exporter knew of the tensors between was for its own shapes.
        model.graph.iter_mut().for_each(|graph| graph.value_info.clear());
        let mut declare = |batch: &Dim| {
            for end in ends {
                set_dims(&mut model, &end.name, &end.declared(batch.clone()));
            }
            encode(&model)
        };
        let (open, single) = (declare(&Dim::from("n")), declare(&Dim::from(1)));
        let items: Vec<&[f32]> = items.iter().map(Vec::as_slice).collect();
        let alone = OrtModel::new(runtime, name, &single)?.run_items(&items, 2, 1)?;
        let one_by_one = together(runtime, name, &open, &items, &alone).err();
        if one_by_one.is_none() {
            declare(&Dim::from("n"));
        }
        Ok(Self { name, model, one_by_one })
    }

    /// It in ONNX Runtime.
    pub(super) fn open(&self, runtime: &Runtime) -> Result<OrtModel, TrainingError> {
        OrtModel::new(runtime, self.name, &encode(&self.model))
    }
}

/// Whether two items together give what they give alone; if not, why.
fn together(
    runtime: &Runtime,
    name: &'static str,
    model: &[u8],
    items: &[&[f32]],
    alone: &[Vec<f32>],
) -> Result<(), String> {
    let run = || OrtModel::new(runtime, name, model)?.run_items(items, 2, 2);
    let found = run().map_err(|error: TrainingError| error.to_string())?;
    for (found, alone) in found.iter().zip(alone) {
        let scale = alone.iter().fold(f32::MIN_POSITIVE, |scale, value| scale.max(value.abs()));
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE * scale;
        if found.len() != alone.len() || !found.iter().zip(alone).all(near) {
            return Err("two items in a batch do not give what each gives alone".to_owned());
        }
    }
    Ok(())
}
