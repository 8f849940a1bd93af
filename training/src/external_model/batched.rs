//! Prepares halves for a bundle: tensors with fixed dimensions and a leading batch dimension.
//!
//! A trial decides whether a half supports batches: two items together must give the same results as each
//! alone. If they do not, for example because the number 1 is baked into a reshape, the half declares a batch
//! of 1, and the cloud runs the frames of a request one after the other.

use lopside_decoder::Runtime;
use lopside_onnx::{Dim, encode_model, proto::ModelProto, set_dims};

use super::tensor::NamedTensor;
use crate::{ModelError, engines::OrtModel};

/// Maximum difference between an item in a batch and alone, relative to the largest magnitude.
const TOLERANCE: f32 = 1e-4;

/// A half that is ready to run.
pub(super) struct BatchedHalf {
    pub(super) name: &'static str,
    pub(super) model: ModelProto,
    /// Reason why the half takes one item at a time; `None` if it takes batches.
    pub(super) single_item_reason: Option<String>,
}

impl BatchedHalf {
    /// Declares the dimensions of these inputs and outputs in `model`, with a symbolic batch if the trial
    /// succeeds. `items` has two items per input, one after the other.
    pub(super) fn new(
        name: &'static str,
        mut model: ModelProto,
        tensors: &[&NamedTensor],
        items: &[Vec<f32>],
        runtime: &Runtime,
    ) -> Result<Self, ModelError> {
        // Intermediate shapes from the exporter are valid for its own batch only.
        model.graph.iter_mut().for_each(|graph| graph.value_info.clear());
        declare_batch(&mut model, tensors, &Dim::from("n"));
        let batched = encode_model(&model);
        declare_batch(&mut model, tensors, &Dim::from(1));
        let unbatched = encode_model(&model);
        let items: Vec<&[f32]> = items.iter().map(Vec::as_slice).collect();
        let single_outputs = OrtModel::new(runtime, name, &unbatched)?.run_items(&items, 2, 1)?;
        let single_item_reason = check_batching(runtime, name, &batched, &items, &single_outputs).err();
        if single_item_reason.is_none() {
            declare_batch(&mut model, tensors, &Dim::from("n"));
        }
        Ok(Self { name, model, single_item_reason })
    }

    /// Opens the half in ONNX Runtime.
    pub(super) fn open(&self, runtime: &Runtime) -> Result<OrtModel, ModelError> {
        OrtModel::new(runtime, self.name, &encode_model(&self.model))
    }
}

/// Declares the dimensions of these inputs and outputs, with `batch` as the first.
fn declare_batch(model: &mut ModelProto, tensors: &[&NamedTensor], batch: &Dim) {
    for tensor in tensors {
        set_dims(model, &tensor.name, &tensor.onnx_dims(batch.clone()));
    }
}

/// Checks that two items together give the same as each alone. The error is the reason.
fn check_batching(
    runtime: &Runtime,
    name: &'static str,
    model: &[u8],
    items: &[&[f32]],
    expected: &[Vec<f32>],
) -> Result<(), String> {
    let found = OrtModel::new(runtime, name, model)
        .and_then(|mut model| model.run_items(items, 2, 2))
        .map_err(|error| error.to_string())?;
    for (found, expected) in found.iter().zip(expected) {
        let scale = expected.iter().fold(f32::MIN_POSITIVE, |scale, value| scale.max(value.abs()));
        if found.len() != expected.len()
            || !found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= TOLERANCE * scale)
        {
            return Err("two items in a batch do not give the same results as each alone".to_owned());
        }
    }
    Ok(())
}
