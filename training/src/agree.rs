//! The proof of an export: whole = decoder ∘ encoder, in ONNX Runtime and in tract, and both engines alike.

use cloud_decoder::Runtime;
use edge_encoder::Plan;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{TrainingError, engines::OrtModel};

/// The largest absolute difference between two outputs, samples 0 to 1.
pub(crate) const TOLERANCE: f32 = 1e-4;
/// Inputs compared.
const INPUTS: usize = 64;

/// The models of a run, as ONNX files.
pub(crate) struct Models<'a> {
    pub(crate) whole: &'a [u8],
    pub(crate) encoder: &'a [u8],
    pub(crate) decoder: &'a [u8],
    /// Values of one input, and of one latent.
    pub(crate) input_len: usize,
    pub(crate) latent_len: usize,
}

/// Runs all three models on uniform noise in both engines; the largest difference seen.
///
/// # Errors
/// [`TrainingError::Disagreement`] when any pair differs by more than [`TOLERANCE`].
pub(crate) fn check(models: &Models<'_>, runtime: &Runtime) -> Result<f32, TrainingError> {
    let mut rng = StdRng::seed_from_u64(0);
    let input: Vec<f32> = (0..INPUTS * models.input_len).map(|_| rng.random::<f32>()).collect();

    let whole_ort = OrtModel::new(runtime, "whole.onnx", models.whole)?.run(&input, INPUTS)?;
    let latent_ort = OrtModel::new(runtime, "encoder.onnx", models.encoder)?.run(&input, INPUTS)?;
    let split_ort = OrtModel::new(runtime, "decoder.onnx", models.decoder)?.run(&latent_ort, INPUTS)?;

    let tract = |model, len| Plan::new(model, vec![INPUTS, len]);
    let whole_tract = tract(models.whole, models.input_len)?.run(&input)?;
    let latent_tract = tract(models.encoder, models.input_len)?.run(&input)?;
    let split_tract = tract(models.decoder, models.latent_len)?.run(&latent_tract)?;

    let pairs = [
        ("whole against decoder∘encoder in ONNX Runtime", &whole_ort, &split_ort),
        ("whole against decoder∘encoder in tract", &whole_tract, &split_tract),
        ("ONNX Runtime against tract", &whole_ort, &whole_tract),
    ];
    pairs.into_iter().try_fold(0.0, |worst: f32, (what, a, b)| Ok(worst.max(compare(what, a, b)?)))
}

fn compare(what: &str, a: &[f32], b: &[f32]) -> Result<f32, TrainingError> {
    let difference = if a.len() == b.len() {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    } else {
        f32::INFINITY
    };
    // Written so that NaN fails.
    if difference <= TOLERANCE && a.iter().chain(b).all(|value| value.is_finite()) {
        Ok(difference)
    } else {
        Err(TrainingError::Disagreement { what: what.to_owned(), difference, limit: TOLERANCE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_a_missing_value_and_a_nan_fail() {
        assert_eq!(compare("x", &[0.5, 0.25], &[0.5, 0.250_05]).ok(), Some((0.25_f32 - 0.250_05).abs()));
        for other in [&[0.5, 0.2502][..], &[0.5], &[0.5, f32::NAN]] {
            assert!(matches!(compare("x", &[0.5, 0.25], other), Err(TrainingError::Disagreement { .. })));
        }
    }
}
