//! Converts heads to 16-bit floats for GPUs: adds a new version of a head, if its outputs match those of the
//! previous version.
//!
//! Both versions run on the same latents in ONNX Runtime, on the CPU: integers drawn uniformly from −3 to 3
//! and dequantised like frames.

use std::{collections::HashMap, path::Path};

use lopside_bundle::{
    BundlePart, add_version,
    image_codec::{AnyBundle, ImageCodecHeadSpec},
};
use lopside_decoder::Runtime;
use lopside_latent::{
    FixedLatentSpace,
    image_codec::{ImageCodecHeader, ImageCodecLatent, ImageCodecSpace, Quality},
};
use lopside_onnx::{convert_to_fp16, decode_model, encode_model, model_inputs};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    BundleUpdateError, TrainingError, agree,
    engines::{OrtModel, TensorValues},
};

/// Maximum difference, relative to the largest magnitude or to 1 if that is larger: ten times the loss of one
/// operation at 11 bits of precision.
const TOLERANCE: f32 = 5e-3;
/// Number of fixed-shape latents to compare.
const LATENT_COUNT: usize = 16;
/// Sides of the test image, in pixels.
const IMAGE_SIDE: u32 = 128;
/// Quality of the test image.
const QUALITY: Quality = Quality::new(50).unwrap();

/// The parts of a head that the conversion uses.
struct HeadModel {
    name: String,
    version: u32,
    model: Vec<u8>,
    /// Test inputs by the names of the model's inputs.
    inputs: HashMap<String, TensorValues>,
}

/// Runs `training fp16`: converts the head `name` of the bundle in `folder`, or all heads for `None`.
pub(crate) fn run(folder: &Path, name: Option<&str>, runtime: &Runtime) -> Result<(), TrainingError> {
    let heads = newest_versions(load_heads(folder)?);
    let selected: Vec<&HeadModel> =
        heads.iter().filter(|head| name.is_none_or(|name| name == head.name)).collect();
    if selected.is_empty() {
        let known = heads.iter().map(|head| head.name.clone()).collect();
        let head = name.unwrap_or_default().to_owned();
        return Err(BundleUpdateError::UnknownHead { head, known }.into());
    }
    // All conversions are verified before the first one is written.
    let converted = selected.iter().map(|head| convert_head(head, runtime)).collect::<Result<Vec<_>, _>>()?;
    for (head, (model, difference)) in selected.iter().zip(converted) {
        let version = add_version(folder, &head.name, &model)?;
        eprintln!(
            "head {:?} version {version}: {} bytes ({} in version {}), largest difference {difference:.1e}",
            head.name,
            model.len(),
            head.model.len(),
            head.version
        );
    }
    Ok(())
}

/// Returns the model in 16-bit floats and its largest difference.
fn convert_head(head: &HeadModel, runtime: &Runtime) -> Result<(Vec<u8>, f32), TrainingError> {
    let model = decode_model(&head.model)?;
    let inputs = model_inputs(&model, &[])?
        .into_iter()
        .map(|input| {
            head.inputs.get(&input.name).cloned().ok_or_else(|| BundleUpdateError::UnnamedInput {
                head: head.name.clone(),
                input: input.name.clone(),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let half_precision = encode_model(&convert_to_fp16(&model)?);
    let before = OrtModel::new(runtime, "the head", &head.model)?.run_each(&inputs)?;
    let after = OrtModel::new(runtime, "the head in 16-bit floats", &half_precision)?.run_each(&inputs)?;
    let description = format!("head {:?} in 32-bit and in 16-bit floats", head.name);
    let difference = agree::check_within(TOLERANCE, &description, &before, &after)?;
    Ok((half_precision, difference))
}

/// Loads all heads of a bundle of either kind, with test inputs.
fn load_heads(folder: &Path) -> Result<Vec<HeadModel>, TrainingError> {
    let mut rng = StdRng::seed_from_u64(0);
    Ok(match AnyBundle::load(folder, BundlePart::Heads)? {
        AnyBundle::FixedLatent(bundle) => {
            let names: Vec<&str> =
                bundle.manifest.latent.iter().map(|layer| layer.tensor.name.as_str()).collect();
            let layers = draw_layers(&bundle.space, &names, &mut rng)?;
            bundle
                .heads
                .into_iter()
                .map(|head| HeadModel {
                    name: head.spec.name,
                    version: head.spec.version,
                    model: head.model,
                    inputs: layers.clone(),
                })
                .collect()
        }
        AnyBundle::ImageCodec(bundle) => {
            let names: Vec<&str> = bundle.manifest.layers.iter().map(|layer| layer.tensor.as_str()).collect();
            let maps = draw_maps(&bundle.space, &names, &mut rng)?;
            bundle
                .heads
                .into_iter()
                .map(|head| HeadModel {
                    inputs: with_quality(&maps, &head.spec),
                    name: head.spec.name,
                    version: head.spec.version,
                    model: head.model,
                })
                .collect()
        }
    })
}

/// Keeps the newest version of each head.
fn newest_versions(heads: Vec<HeadModel>) -> Vec<HeadModel> {
    let mut newest: Vec<HeadModel> = Vec::new();
    for head in heads {
        match newest.iter_mut().find(|other| other.name == head.name) {
            Some(other) if other.version < head.version => *other = head,
            Some(_) => {}
            None => newest.push(head),
        }
    }
    newest
}

/// Draws fixed-shape latents, by layer name.
fn draw_layers(
    space: &FixedLatentSpace,
    names: &[&str],
    rng: &mut StdRng,
) -> Result<HashMap<String, TensorValues>, TrainingError> {
    let mut layers: Vec<TensorValues> = space
        .layers()
        .iter()
        .map(|layer| TensorValues { dims: batch_dims(layer.shape.dims()), values: Vec::new() })
        .collect();
    for _ in 0..LATENT_COUNT {
        let integers: Vec<i32> = (0..space.len()).map(|_| rng.random_range(-3..=3)).collect();
        let row = space.dequantise(&integers)?;
        for (index, layer) in layers.iter_mut().enumerate() {
            layer.values.extend(&row[space.prefix_len(index)..space.prefix_len(index + 1)]);
        }
    }
    Ok(names.iter().map(|&name| name.to_owned()).zip(layers).collect())
}

fn batch_dims(item: &[u32]) -> Vec<usize> {
    std::iter::once(LATENT_COUNT).chain(item.iter().map(|&dim| dim as usize)).collect()
}

/// Draws the feature maps of an image, by layer name.
fn draw_maps(
    space: &ImageCodecSpace,
    names: &[&str],
    rng: &mut StdRng,
) -> Result<HashMap<String, TensorValues>, TrainingError> {
    let header = ImageCodecHeader { width: IMAGE_SIDE, height: IMAGE_SIDE, is_grey: false, quality: QUALITY };
    let layout = space.layout();
    let layers = (0..names.len())
        .map(|layer| {
            let count = layout.elements(layer, IMAGE_SIDE, IMAGE_SIDE);
            (0..count).map(|_| rng.random_range(-3..=3)).collect()
        })
        .collect();
    let maps = space.dequantise(&ImageCodecLatent { header, layers })?;
    let named = maps.into_iter().zip(names).enumerate().map(|(layer, (values, &name))| {
        let [rows, columns] = layout.dims(layer, IMAGE_SIDE, IMAGE_SIDE);
        let channels = layout.layers()[layer].channels as usize;
        (name.to_owned(), TensorValues { dims: vec![1, channels, rows, columns], values })
    });
    Ok(named.collect())
}

fn with_quality(
    maps: &HashMap<String, TensorValues>,
    head: &ImageCodecHeadSpec,
) -> HashMap<String, TensorValues> {
    let quality = TensorValues { dims: vec![1, 1], values: vec![f32::from(QUALITY.get())] };
    maps.clone().into_iter().chain([(head.quality.clone(), quality)]).collect()
}
