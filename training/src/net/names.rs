//! Names of the tensors between the parts of a model.

use crate::definition::{Blueprint, Signal};

/// Input of image models, samples from low to high, `[n, channels, height, width]` or `[n, samples]`.
pub const INPUT_IMAGE: &str = "image";
/// Input of time-series models, `[n, length, channels]` or `[n, values]`.
pub const INPUT_SERIES: &str = "series";
/// The latent, `[n, values]` or `[n, channels, height, width]`.
pub const LATENT: &str = "latent";
/// Output of the decoder, with the shape of the blueprint's output.
pub const OUTPUT: &str = "reconstruction";
/// Output of the classifier, `[n, labels]`.
pub const LOGITS: &str = "logits";
/// Output of the score head, `[n, columns]`.
pub const SCORES: &str = "scores";

/// Returns the name of the encoder's input.
#[must_use]
pub const fn input_name(blueprint: &Blueprint) -> &'static str {
    match blueprint.definition.input {
        Signal::Picture(_) => INPUT_IMAGE,
        Signal::Series(_) => INPUT_SERIES,
    }
}

/// Returns the tensor name of an enhancement layer, `[n, channels, height, width]`.
#[must_use]
pub fn tap_name(tap: &str) -> String {
    format!("tap.{tap}")
}
