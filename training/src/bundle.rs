//! Assembles the draft of a bundle: halves, quantiser and tables, with the cost of each model.

use lopside_bundle::{
    Dim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec, HeadKind, InputSpec, ModelCost,
    TensorSpec, TimeSeriesSpec,
};
use lopside_onnx::{decode_model, encode_model, model_cost};

use crate::{
    Calibration, DefinitionError, TrainingError,
    definition::{Blueprint, Shape, Signal},
    net, samples,
    split::Halves,
};

/// Names of the heads that reconstruct the input and that classify.
const RECONSTRUCT: &str = "reconstruct";
const CLASSIFY: &str = "classify";

/// Returns the draft of a bundle; `series` describes the time series of a series model and is ignored for
/// images. The heads carry the identifier of the latent space in their metadata; the encoder does not,
/// because the identifier is a digest of it.
///
/// # Errors
/// [`DefinitionError::UnsupportedDataSet`] for a series model without `series`.
pub(crate) fn draft(
    blueprint: &Blueprint,
    halves: &Halves,
    calibration: &Calibration,
    series: Option<&TimeSeriesSpec>,
) -> Result<FixedLatentDraft, TrainingError> {
    let definition = &blueprint.definition;
    let layers = latent_tensors(blueprint).zip(&calibration.gains);
    let mut draft = FixedLatentDraft {
        name: definition.bundle_name().into(),
        description: definition.description.clone(),
        input: match (&definition.input, series) {
            (Signal::Picture(image), _) => InputSpec::Picture(samples::image_spec(image)),
            (Signal::Series(_), Some(series)) => InputSpec::Series(series.clone()),
            (Signal::Series(_), None) => {
                let set = definition.data.set.clone();
                return Err(DefinitionError::UnsupportedDataSet { set }.into());
            }
        },
        encoder: halves.encoder.clone(),
        input_tensor: batched_tensor(net::input_name(blueprint), blueprint.input),
        encoder_cost: cost_of(&halves.encoder)?,
        latent: layers.map(|(tensor, gains)| FixedLatentLayerSpec { tensor, gains: gains.clone() }).collect(),
        tables: calibration.tables.clone(),
        heads: Vec::new(),
    };
    draft.heads = draft_heads(blueprint, halves, series, &draft.latent_space().to_string())?;
    Ok(draft)
}

/// Returns the tensors of the latent: the latent itself, then the taps.
fn latent_tensors(blueprint: &Blueprint) -> impl Iterator<Item = TensorSpec> {
    let taps = blueprint.taps.iter().map(|tap| batched_tensor(&net::tap_name(&tap.name), tap.shape));
    std::iter::once(batched_tensor(net::LATENT, blueprint.latent)).chain(taps)
}

fn draft_heads(
    blueprint: &Blueprint,
    halves: &Halves,
    series: Option<&TimeSeriesSpec>,
    latent_space: &str,
) -> Result<Vec<FixedLatentDraftHead>, TrainingError> {
    let kind = match (blueprint.definition.output(), series) {
        (Signal::Picture(image), _) => HeadKind::Reconstruct(samples::image_spec(image)),
        (Signal::Series(_), Some(series)) => HeadKind::Series(series.clone()),
        (Signal::Series(_), None) => HeadKind::Tensor {},
    };
    let mut heads = vec![FixedLatentDraftHead {
        name: RECONSTRUCT.into(),
        version: 1,
        kind,
        model: with_latent_space(&halves.decoder, latent_space)?,
        inputs: latent_tensors(blueprint).map(|tensor| tensor.name).collect(),
        output: batched_tensor(net::OUTPUT, blueprint.output),
        cost: cost_of(&halves.decoder)?,
    }];
    if let (Some(model), Some(classifier)) = (&halves.classifier, &blueprint.definition.classifier) {
        heads.push(FixedLatentDraftHead {
            name: CLASSIFY.into(),
            version: 1,
            kind: HeadKind::Classify { labels: classifier.labels.clone() },
            model: with_latent_space(model, latent_space)?,
            inputs: vec![net::LATENT.into()],
            output: batched_tensor(net::LOGITS, Shape::Flat(classifier.labels.len())),
            cost: cost_of(model)?,
        });
    }
    Ok(heads)
}

/// Returns the model with the identifier of its latent space in its metadata.
pub(crate) fn with_latent_space(model: &[u8], latent_space: &str) -> Result<Vec<u8>, TrainingError> {
    let mut onnx = decode_model(model)?;
    net::stamp_latent_space(&mut onnx, latent_space);
    Ok(encode_model(&onnx))
}

/// Returns the cost of a model for one item.
pub(crate) fn cost_of(model: &[u8]) -> Result<ModelCost, TrainingError> {
    let cost = model_cost(&decode_model(model)?, &[("n", 1)])?;
    Ok(ModelCost { parameters: cost.parameters, macs: cost.macs })
}

/// Returns the spec of a tensor with a symbolic batch dimension.
pub(crate) fn batched_tensor(name: &str, shape: Shape) -> TensorSpec {
    batched_tensor_of(name, shape.dims().into_iter().map(|dim| dim as u32))
}

/// Returns the spec of a tensor with a symbolic batch dimension before `dims`.
pub(crate) fn batched_tensor_of(name: &str, dims: impl Iterator<Item = u32>) -> TensorSpec {
    let shape = std::iter::once(Dim::Symbol("n".into())).chain(dims.map(Dim::Fixed)).collect();
    TensorSpec { name: name.into(), shape }
}
