//! Assembles the draft of a bundle: halves, quantiser and tables, with the cost of each model.

use lopside_bundle::{Cost, Dim, Draft, DraftHead, HeadKind, InputSpec, LatentSpec, SeriesSpec, TensorSpec};
use lopside_onnx::{cost, decode, encode};

use crate::{
    Calibration, TrainingError,
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
/// [`TrainingError::NoDataSet`] for a series model without `series`.
pub(crate) fn draft(
    blueprint: &Blueprint,
    halves: &Halves,
    calibration: &Calibration,
    series: Option<&SeriesSpec>,
) -> Result<Draft, TrainingError> {
    let definition = &blueprint.definition;
    let latent = tensors(blueprint).zip(&calibration.gains);
    let mut draft = Draft {
        name: definition.bundle_name().into(),
        description: definition.description.clone(),
        input: match (&definition.input, series) {
            (Signal::Picture(picture), _) => InputSpec::Picture(samples::spec(picture)),
            (Signal::Series(_), Some(series)) => InputSpec::Series(series.clone()),
            (Signal::Series(_), None) => {
                return Err(TrainingError::NoDataSet { set: definition.data.set.clone() });
            }
        },
        encoder: halves.encoder.clone(),
        input_tensor: tensor(net::input_name(blueprint), blueprint.input),
        encoder_cost: cost_of(&halves.encoder)?,
        latent: latent.map(|(tensor, gains)| LatentSpec { tensor, gains: gains.clone() }).collect(),
        tables: calibration.tables.clone(),
        heads: Vec::new(),
    };
    draft.heads = heads(blueprint, halves, series, &draft.latent_space().to_string())?;
    Ok(draft)
}

/// Returns the tensors of the latent: the latent itself, then the taps.
fn tensors(blueprint: &Blueprint) -> impl Iterator<Item = TensorSpec> {
    let taps = blueprint.taps.iter().map(|tap| tensor(&net::tap_name(&tap.name), tap.shape));
    std::iter::once(tensor(net::LATENT, blueprint.latent)).chain(taps)
}

fn heads(
    blueprint: &Blueprint,
    halves: &Halves,
    series: Option<&SeriesSpec>,
    latent_space: &str,
) -> Result<Vec<DraftHead>, TrainingError> {
    let kind = match (blueprint.definition.output(), series) {
        (Signal::Picture(picture), _) => HeadKind::Reconstruct(samples::spec(picture)),
        (Signal::Series(_), Some(series)) => HeadKind::Series(series.clone()),
        (Signal::Series(_), None) => HeadKind::Tensor {},
    };
    let mut heads = vec![DraftHead {
        name: RECONSTRUCT.into(),
        version: 1,
        kind,
        model: stamped(&halves.decoder, latent_space)?,
        inputs: tensors(blueprint).map(|tensor| tensor.name).collect(),
        output: tensor(net::OUTPUT, blueprint.output),
        cost: cost_of(&halves.decoder)?,
    }];
    if let (Some(model), Some(classifier)) = (&halves.classifier, &blueprint.definition.classifier) {
        heads.push(DraftHead {
            name: CLASSIFY.into(),
            version: 1,
            kind: HeadKind::Classify { labels: classifier.labels.clone() },
            model: stamped(model, latent_space)?,
            inputs: vec![net::LATENT.into()],
            output: tensor(net::LOGITS, Shape::Flat(classifier.labels.len())),
            cost: cost_of(model)?,
        });
    }
    Ok(heads)
}

/// Returns the model with the identifier of its latent space in its metadata.
pub(crate) fn stamped(model: &[u8], latent_space: &str) -> Result<Vec<u8>, TrainingError> {
    let mut onnx = decode(model)?;
    net::stamp(&mut onnx, latent_space);
    Ok(encode(&onnx))
}

/// Returns the cost of a model for one item.
pub(crate) fn cost_of(model: &[u8]) -> Result<Cost, TrainingError> {
    let cost = cost(&decode(model)?, &[("n", 1)])?;
    Ok(Cost { parameters: cost.parameters, macs: cost.macs })
}

/// Returns the spec of a tensor with a symbolic batch dimension.
pub(crate) fn tensor(name: &str, shape: Shape) -> TensorSpec {
    tensor_of(name, shape.dims().into_iter().map(|dim| dim as u32))
}

/// Returns the spec of a tensor with a symbolic batch dimension before `dims`.
pub(crate) fn tensor_of(name: &str, dims: impl Iterator<Item = u32>) -> TensorSpec {
    let shape = std::iter::once(Dim::Symbol("n".into())).chain(dims.map(Dim::Fixed)).collect();
    TensorSpec { name: name.into(), shape }
}
