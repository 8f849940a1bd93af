//! A head's numbers as what a client asked for.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use lopside_bundle::{HeadKind, HeadSpec};

use crate::{Anomaly, ServeError};

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// PNG of a picture, class scores of a classification, an anomaly of a score, numbers in their own units.
    Natural,
    /// The raw numbers.
    Tensor,
    /// An 8-bit PNG.
    Png,
    /// A probability a class.
    ClassScores,
    /// How unusual the frame is.
    Anomaly,
}

/// What a head can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    /// Pictures: PNG or tensor.
    Pictures,
    /// Class scores, or the logits as a tensor.
    ClassScores,
    /// Anomalies, or the columns as a tensor.
    Anomalies,
    /// Tensors.
    Numbers,
}

impl Makes {
    /// What a head of this kind makes.
    pub(crate) fn of(kind: &HeadKind) -> Self {
        match kind {
            HeadKind::Reconstruct(_) => Self::Pictures,
            HeadKind::Classify { .. } => Self::ClassScores,
            HeadKind::Score(_) => Self::Anomalies,
            HeadKind::Series(_) | HeadKind::Tensor {} => Self::Numbers,
        }
    }
}

/// What a head made of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The head.
    pub head: String,
    /// Its version.
    pub version: u32,
    /// The answer.
    pub value: Value,
}

/// The answer itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Raw numbers, row-major.
    Tensor {
        /// The shape, without the batch.
        shape: Vec<u32>,
        /// The values.
        values: Vec<f32>,
    },
    /// A PNG file.
    Png(Vec<u8>),
    /// Labels and probabilities, most probable first.
    ClassScores(Vec<(String, f32)>),
    /// How unusual the frame is.
    Anomaly(Anomaly),
}

/// Whether a head can answer so.
///
/// # Errors
/// [`ServeError::Request`] when it cannot.
pub(crate) fn check(spec: &HeadSpec, format: Format) -> Result<(), ServeError> {
    let fits = match (&spec.kind, format) {
        (_, Format::Natural | Format::Tensor)
        | (HeadKind::Reconstruct(_), Format::Png)
        | (HeadKind::Classify { .. }, Format::ClassScores)
        | (HeadKind::Score(_), Format::Anomaly) => true,
        (_, Format::Png | Format::ClassScores | Format::Anomaly) => false,
    };
    if fits { Ok(()) } else { Err(mismatch(&spec.name, Makes::of(&spec.kind), format)) }
}

/// Turns the numbers of one frame into the answer of a head that does not score.
pub(crate) fn value(spec: &HeadSpec, format: Format, values: &[f32]) -> Result<Value, ServeError> {
    let tensor =
        |values: Vec<f32>| Value::Tensor { shape: spec.output.item_dims().unwrap_or_default(), values };
    Ok(match (&spec.kind, format) {
        (HeadKind::Reconstruct(picture), Format::Natural | Format::Png) => {
            let picture = lopside_input::picture_of_samples(values, picture);
            let wrong = || ServeError::Internal("a reconstruction has the wrong size".into());
            Value::Png(encode_png(&picture.ok_or_else(wrong)?)?)
        }
        (HeadKind::Classify { labels }, Format::Natural | Format::ClassScores) => {
            Value::ClassScores(class_scores(values, labels))
        }
        (HeadKind::Series(series), Format::Natural) => Value::Tensor {
            shape: vec![series.length, series.channels.len() as u32],
            values: lopside_input::restored(values, series),
        },
        _ => tensor(values.to_vec()),
    })
}

/// Why a head does not answer so.
pub(crate) fn mismatch(head: &str, makes: Makes, format: Format) -> ServeError {
    let makes = match makes {
        Makes::Pictures => "makes pictures",
        Makes::ClassScores => "classifies",
        Makes::Anomalies => "scores",
        Makes::Numbers => "makes numbers",
    };
    let asked = match format {
        Format::Natural | Format::Tensor => "tensors",
        Format::Png => "pictures",
        Format::ClassScores => "class scores",
        Format::Anomaly => "anomalies",
    };
    ServeError::Request(format!("head {head:?} {makes}, it makes no {asked}"))
}

/// A PNG file of a picture.
pub(crate) fn encode_png(picture: &DynamicImage) -> Result<Vec<u8>, ServeError> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, ImageFormat::Png).map_err(|error| ServeError::Internal(error.to_string()))?;
    Ok(out.into_inner())
}

/// A probability a logit. The largest logit is taken off first, so that nothing overflows.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

fn class_scores(logits: &[f32], labels: &[String]) -> Vec<(String, f32)> {
    let mut scores: Vec<(String, f32)> = labels.iter().cloned().zip(softmax(logits)).collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_a_distribution_best_first_even_for_huge_logits() {
        let labels = ["a", "b", "c"].map(String::from);
        let scores = class_scores(&[1000.0, 1001.0, 900.0], &labels);
        assert_eq!(scores[0].0, "b");
        assert!((scores.iter().map(|score| score.1).sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((scores[0].1 - 0.731_058_6).abs() < 1e-6);
    }
}
