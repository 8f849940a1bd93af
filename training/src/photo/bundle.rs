//! Makes a photo bundle from a run.

use std::path::Path;

use burn::{module::Module as _, tensor::Device};
use lopside_bundle::{
    LATENT_SPACE_KEY,
    picture::{
        FastDraft, LayerSpec, PictureCost, PictureDraft, PictureDraftHead, PictureInput, PictureQuantiserSpec,
    },
};
use lopside_onnx::{cost, encode, proto::ModelProto, set_metadata};

use super::{
    calibrate,
    export::{self, BANDS, PICTURE, QUALITY, RECONSTRUCTION, layer_name},
    fast,
    model::PhotoModel,
    run::PhotoRun,
    spec::{REACH, Spec},
};
use crate::TrainingError;

/// Name of the head that reconstructs the encoder's input.
const RECONSTRUCT: &str = "reconstruct";
/// Name of the head that reconstructs the encoder's input at twice the size.
pub(crate) const UPSCALE: &str = "upscale";
/// Size of the image whose cost is counted and divided by its pixels.
const COUNTED: (i64, i64) = (1024, 1024);

/// Exports a run's averaged weights and counts the contexts from the photographs.
///
/// # Errors
/// [`TrainingError`] when weights or photographs cannot be read.
pub(crate) fn draft(run: &PhotoRun, photos: &Path) -> Result<PictureDraft, TrainingError> {
    let spec = run.origin.options.spec();
    let model = run.model(&Device::flex())?.no_grad();
    let quantiser = calibrate::quantiser(&model)?;
    let contexts = calibrate::contexts(photos, &model, &spec, &quantiser)?;
    let encoder = export::encoder(&model, &spec)?;
    let mut draft = PictureDraft {
        name: "photo".into(),
        description: "Photographs of any size at 100 qualities".into(),
        input: PictureInput { low: -0.5, high: 0.5, reach: REACH as u32 },
        encoder_cost: encoder_cost(&encoder)?,
        encoder: encode(&encoder),
        input_tensor: PICTURE.into(),
        bands: BANDS.into(),
        fast: Some(fast_encoder(photos, &model, &spec)?),
        layers: layers(&spec),
        quantiser: PictureQuantiserSpec {
            steps: quantiser.steps().to_vec(),
            gains: quantiser.gains().to_vec(),
            rounding: quantiser.rounding().to_vec(),
        },
        contexts,
        heads: Vec::new(),
    };
    draft.heads.push(head(&model, &spec, &draft.latent_space().to_string(), 1)?);
    Ok(draft)
}

fn fast_encoder(photos: &Path, model: &PhotoModel, spec: &Spec) -> Result<FastDraft, TrainingError> {
    let onnx = fast::encoder(photos, model, spec)?;
    // The input is the image with its border at half the size.
    let border = REACH as i64;
    let cost = counted(&onnx, &[("h".into(), COUNTED.0 / 2 + border), ("w".into(), COUNTED.1 / 2 + border)])?;
    Ok(FastDraft { model: encode(&onnx), input: PICTURE.into(), bands: BANDS.into(), cost })
}

fn layers(spec: &Spec) -> Vec<LayerSpec> {
    let layer = |level| LayerSpec {
        tensor: layer_name(spec, level),
        channels: spec.kept(level) as u32,
        stride: spec.stride(level) as u32,
    };
    (0..spec.levels()).rev().map(layer).collect()
}

/// Returns the name of the head that makes images at the spec's scale.
pub(crate) fn head_name(spec: &Spec) -> &'static str {
    if spec.scale == 1 { RECONSTRUCT } else { UPSCALE }
}

/// Returns a head that makes images at the spec's scale; `model` must have the encoder of `latent_space`.
pub(crate) fn head(
    model: &PhotoModel,
    spec: &Spec,
    latent_space: &str,
    version: u32,
) -> Result<PictureDraftHead, TrainingError> {
    let mut onnx = export::head(model, spec)?;
    set_metadata(&mut onnx, LATENT_SPACE_KEY, latent_space);
    let symbols: Vec<(String, i64)> = (0..spec.levels())
        .flat_map(|level| {
            let stride = spec.stride(level) as i64;
            [(format!("h{stride}"), COUNTED.0 / stride), (format!("w{stride}"), COUNTED.1 / stride)]
        })
        .collect();
    Ok(PictureDraftHead {
        name: head_name(spec).into(),
        version,
        cost: counted(&onnx, &symbols)?,
        model: encode(&onnx),
        quality: QUALITY.into(),
        output: RECONSTRUCTION.into(),
        scale: spec.scale as u32,
    })
}

/// Returns the encoder's cost for an image with its mirrored border.
fn encoder_cost(onnx: &ModelProto) -> Result<PictureCost, TrainingError> {
    let border = 2 * REACH as i64;
    counted(onnx, &[("h".into(), COUNTED.0 + border), ("w".into(), COUNTED.1 + border)])
}

fn counted(onnx: &ModelProto, symbols: &[(String, i64)]) -> Result<PictureCost, TrainingError> {
    let mut all: Vec<(&str, i64)> = vec![("n", 1)];
    all.extend(symbols.iter().map(|(name, extent)| (name.as_str(), *extent)));
    let counted = cost(onnx, &all)?;
    let pixels = (COUNTED.0 * COUNTED.1) as f64;
    Ok(PictureCost { parameters: counted.parameters, macs_per_pixel: counted.macs as f64 / pixels })
}
