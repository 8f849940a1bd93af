//! The bundle's draft: halves, quantiser and tables put together, with what each half costs.

use lopside_bundle::{Cost, Dim, Draft, DraftHead, HeadKind, InputSpec, LatentSpec, TensorSpec};
use lopside_onnx::{cost, decode, encode};

use crate::{Calibration, Preset, TrainingError, export, split::Halves};

/// The name of the head that gives the picture back.
const RECONSTRUCT: &str = "reconstruct";

/// The draft of a bundle. Its head carries the name of the latent space in its metadata; the encoder does not,
/// because the name is a digest of it.
pub(crate) fn draft(
    preset: Preset,
    halves: &Halves,
    calibration: &Calibration,
) -> Result<Draft, TrainingError> {
    let (encoder, decoder) = (preset.encoder_widths(), preset.decoder_widths());
    let mut draft = Draft {
        name: preset.bundle_name().into(),
        description: preset.description().into(),
        input: InputSpec::Picture(preset.picture()),
        encoder: halves.encoder.clone(),
        input_tensor: tensor(export::INPUT, encoder[0]),
        encoder_cost: cost_of(&halves.encoder)?,
        latent: vec![LatentSpec {
            tensor: tensor(export::LATENT, decoder[0]),
            gains: calibration.quantiser.gains().to_vec(),
        }],
        tables: calibration.tables.clone(),
        heads: vec![DraftHead {
            name: RECONSTRUCT.into(),
            version: 1,
            kind: HeadKind::Reconstruct(preset.picture()),
            model: Vec::new(),
            inputs: vec![export::LATENT.into()],
            output: tensor(export::OUTPUT, decoder[decoder.len() - 1]),
            cost: cost_of(&halves.decoder)?,
        }],
    };
    draft.heads[0].model = stamped(&halves.decoder, &draft.latent_space().to_string())?;
    Ok(draft)
}

/// A model with the name of its latent space in its metadata.
pub(crate) fn stamped(model: &[u8], latent_space: &str) -> Result<Vec<u8>, TrainingError> {
    let mut onnx = decode(model)?;
    export::stamp(&mut onnx, latent_space);
    Ok(encode(&onnx))
}

fn cost_of(model: &[u8]) -> Result<Cost, TrainingError> {
    let cost = cost(&decode(model)?, &[("n", 1)])?;
    Ok(Cost { parameters: cost.parameters, macs: cost.macs })
}

fn tensor(name: &str, values: usize) -> TensorSpec {
    TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(values as u32)] }
}
