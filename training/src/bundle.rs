//! The bundle's draft: halves, quantiser and tables put together, with what each half costs.

use lopside_bundle::{Cost, Dim, Draft, DraftHead, HeadKind, InputSpec, LatentSpec, PictureSpec, TensorSpec};
use lopside_onnx::{cost, decode, encode};

use crate::{
    Calibration, TrainingError,
    definition::{Blueprint, Shape, Signal},
    net, samples,
    split::Halves,
};

/// The name of the head that gives the picture back.
const RECONSTRUCT: &str = "reconstruct";

/// The draft of a bundle. Its head carries the name of the latent space in its metadata; the encoder does not,
/// because the name is a digest of it.
pub(crate) fn draft(
    blueprint: &Blueprint,
    halves: &Halves,
    calibration: &Calibration,
) -> Result<Draft, TrainingError> {
    let definition = &blueprint.definition;
    let mut draft = Draft {
        name: definition.bundle_name().into(),
        description: definition.description.clone(),
        input: InputSpec::Picture(picture(&definition.input)?),
        encoder: halves.encoder.clone(),
        input_tensor: tensor(net::input_name(blueprint), blueprint.input),
        encoder_cost: cost_of(&halves.encoder)?,
        latent: vec![LatentSpec {
            tensor: tensor(net::LATENT, blueprint.latent),
            gains: calibration.gains.first().cloned().unwrap_or_default(),
        }],
        tables: calibration.tables.clone(),
        heads: vec![DraftHead {
            name: RECONSTRUCT.into(),
            version: 1,
            kind: HeadKind::Reconstruct(picture(definition.output())?),
            model: Vec::new(),
            inputs: vec![net::LATENT.into()],
            output: tensor(net::OUTPUT, blueprint.output),
            cost: cost_of(&halves.decoder)?,
        }],
    };
    draft.heads[0].model = stamped(&halves.decoder, &draft.latent_space().to_string())?;
    Ok(draft)
}

/// A model with the name of its latent space in its metadata.
pub(crate) fn stamped(model: &[u8], latent_space: &str) -> Result<Vec<u8>, TrainingError> {
    let mut onnx = decode(model)?;
    net::stamp(&mut onnx, latent_space);
    Ok(encode(&onnx))
}

fn cost_of(model: &[u8]) -> Result<Cost, TrainingError> {
    let cost = cost(&decode(model)?, &[("n", 1)])?;
    Ok(Cost { parameters: cost.parameters, macs: cost.macs })
}

fn tensor(name: &str, shape: Shape) -> TensorSpec {
    let dims = shape.dims().into_iter().map(|dim| Dim::Fixed(dim as u32));
    TensorSpec { name: name.into(), shape: std::iter::once(Dim::Symbol("n".into())).chain(dims).collect() }
}

/// How pictures become a tensor.
fn picture(signal: &Signal) -> Result<PictureSpec, TrainingError> {
    match signal {
        Signal::Picture(picture) => Ok(samples::spec(picture)),
        Signal::Series(_) => Err(TrainingError::Model {
            model: "the bundle".into(),
            reason: "bundles hold models for pictures, and this one is for series".into(),
        }),
    }
}
