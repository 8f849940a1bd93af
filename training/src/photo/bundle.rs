//! Makes a photo bundle from a run, or adds the head of a run to an existing one.

use std::path::Path;

use burn::{module::Module as _, tensor::Device};
use lopside_bundle::{
    BundlePart, LATENT_SPACE_KEY,
    image_codec::{
        AnyBundle, FastEncoderDraft, ImageCodecBundle, ImageCodecCost, ImageCodecDraft, ImageCodecDraftHead,
        ImageCodecInput, ImageCodecLayerSpec, ImageCodecQuantiserSpec, add_head,
    },
};
use lopside_onnx::{encode_model, model_cost, proto::ModelProto, set_metadata};

use super::{
    calibrate,
    export::{self, BANDS_NAME, INPUT_NAME, OUTPUT_NAME, QUALITY_NAME, layer_name},
    fast,
    model::PhotoModel,
    run::PhotoRun,
    spec::{PhotoSpec, REACH},
};
use crate::{BundleUpdateError, TrainingError};

/// Name of the head that reconstructs the encoder's input.
const RECONSTRUCT_HEAD: &str = "reconstruct";
/// Name of the head that reconstructs the encoder's input at twice the size.
pub(crate) const UPSCALE_HEAD: &str = "upscale";
/// Size of the image whose cost is counted and divided by its pixels.
const COST_IMAGE_SIZE: (i64, i64) = (1024, 1024);

/// Opens the bundle of an image codec, with all its heads.
///
/// # Errors
/// [`BundleUpdateError::NotPhotoBundle`] for a bundle of another kind.
pub(crate) fn open_bundle(folder: &Path) -> Result<ImageCodecBundle, TrainingError> {
    match AnyBundle::load(folder, BundlePart::Whole)? {
        AnyBundle::ImageCodec(bundle) => Ok(bundle),
        AnyBundle::FixedLatent(_) => {
            Err(BundleUpdateError::NotPhotoBundle { folder: folder.to_owned() }.into())
        }
    }
}

/// Adds the head that a run has trained to a bundle of its latent space, as the next version of its name.
pub(crate) fn add_trained_head(bundle: &Path, run: &PhotoRun) -> Result<ImageCodecDraftHead, TrainingError> {
    let (manifest, spec) = (open_bundle(bundle)?.manifest, run.origin.options.spec());
    let version = manifest.next_version(head_name(&spec));
    let space = manifest.latent_space.to_string();
    let head = draft_head(&run.model(&Device::flex())?, &spec, &space, version)?;
    add_head(bundle, &head)?;
    Ok(head)
}

/// Exports a run's averaged weights and counts the contexts from the photographs.
///
/// # Errors
/// [`TrainingError`] when weights or photographs cannot be read.
pub(crate) fn draft(run: &PhotoRun, photos: &Path) -> Result<ImageCodecDraft, TrainingError> {
    let spec = run.origin.options.spec();
    let model = run.model(&Device::flex())?.no_grad();
    let quantiser = calibrate::build_quantiser(&model)?;
    let contexts = calibrate::count_contexts(photos, &model, &spec, &quantiser)?;
    let encoder = export::encoder_graph(&model, &spec)?;
    let mut draft = ImageCodecDraft {
        name: "photo".into(),
        description: "Photographs of any size at 100 qualities".into(),
        input: ImageCodecInput { low: -0.5, high: 0.5, reach: REACH as u32 },
        encoder_cost: encoder_cost(&encoder)?,
        encoder: encode_model(&encoder),
        input_tensor: INPUT_NAME.into(),
        bands: BANDS_NAME.into(),
        fast: Some(fast_encoder(photos, &model, &spec)?),
        layers: layer_specs(&spec),
        quantiser: ImageCodecQuantiserSpec {
            steps: quantiser.steps().to_vec(),
            gains: quantiser.gains().to_vec(),
            rounding: quantiser.rounding().to_vec(),
        },
        contexts,
        heads: Vec::new(),
    };
    draft.heads.push(draft_head(&model, &spec, &draft.latent_space().to_string(), 1)?);
    Ok(draft)
}

fn fast_encoder(
    photos: &Path,
    model: &PhotoModel,
    spec: &PhotoSpec,
) -> Result<FastEncoderDraft, TrainingError> {
    let onnx = fast::fit_encoder(photos, model, spec)?;
    // The input is the image with its border at half the size.
    let border = REACH as i64;
    let cost = count_cost(
        &onnx,
        &[("h".into(), COST_IMAGE_SIZE.0 / 2 + border), ("w".into(), COST_IMAGE_SIZE.1 / 2 + border)],
    )?;
    Ok(FastEncoderDraft {
        model: encode_model(&onnx),
        input: INPUT_NAME.into(),
        bands: BANDS_NAME.into(),
        cost,
    })
}

fn layer_specs(spec: &PhotoSpec) -> Vec<ImageCodecLayerSpec> {
    (0..spec.levels())
        .rev()
        .map(|level| ImageCodecLayerSpec {
            tensor: layer_name(spec, level),
            channels: spec.layer_channels(level) as u32,
            stride: spec.stride(level) as u32,
        })
        .collect()
}

/// Returns the name of the head that makes images at the spec's scale.
fn head_name(spec: &PhotoSpec) -> &'static str {
    if spec.scale == 1 { RECONSTRUCT_HEAD } else { UPSCALE_HEAD }
}

/// Returns a head that makes images at the spec's scale; `model` must have the encoder of `latent_space`.
fn draft_head(
    model: &PhotoModel,
    spec: &PhotoSpec,
    latent_space: &str,
    version: u32,
) -> Result<ImageCodecDraftHead, TrainingError> {
    let mut onnx = export::head_graph(model, spec)?;
    set_metadata(&mut onnx, LATENT_SPACE_KEY, latent_space);
    let symbols: Vec<(String, i64)> = (0..spec.levels())
        .flat_map(|level| {
            let stride = spec.stride(level) as i64;
            [
                (format!("h{stride}"), COST_IMAGE_SIZE.0 / stride),
                (format!("w{stride}"), COST_IMAGE_SIZE.1 / stride),
            ]
        })
        .collect();
    Ok(ImageCodecDraftHead {
        name: head_name(spec).into(),
        version,
        cost: count_cost(&onnx, &symbols)?,
        model: encode_model(&onnx),
        quality: QUALITY_NAME.into(),
        output: OUTPUT_NAME.into(),
        scale: spec.scale as u32,
    })
}

/// Returns the encoder's cost for an image with its mirrored border.
fn encoder_cost(onnx: &ModelProto) -> Result<ImageCodecCost, TrainingError> {
    let border = 2 * REACH as i64;
    count_cost(onnx, &[("h".into(), COST_IMAGE_SIZE.0 + border), ("w".into(), COST_IMAGE_SIZE.1 + border)])
}

fn count_cost(onnx: &ModelProto, symbols: &[(String, i64)]) -> Result<ImageCodecCost, TrainingError> {
    let mut bindings: Vec<(&str, i64)> = vec![("n", 1)];
    bindings.extend(symbols.iter().map(|(name, extent)| (name.as_str(), *extent)));
    let cost = model_cost(onnx, &bindings)?;
    let pixels = (COST_IMAGE_SIZE.0 * COST_IMAGE_SIZE.1) as f64;
    Ok(ImageCodecCost { parameters: cost.parameters, macs_per_pixel: cost.macs as f64 / pixels })
}
