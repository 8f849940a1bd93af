//! Converts the values of a head to the format that a client requested.

use lopside_bundle::{FixedLatentHeadSpec, HeadKind};

use crate::{Anomaly, DecodeError, png::encode_png};

/// The format of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputFormat {
    /// PNG for images, class scores for classifications, an anomaly for scores, values in their original
    /// units for time series, and the raw values otherwise.
    Natural,
    /// The raw values.
    Tensor,
    /// An 8-bit PNG file.
    Png,
    /// One probability per class.
    ClassScores,
    /// The anomaly score of the frame.
    Anomaly,
}

/// The kind of output that a head makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// Images, as PNG or tensor.
    Images,
    /// Class scores, or the logits as a tensor.
    ClassScores,
    /// Anomalies, or the columns as a tensor.
    Anomalies,
    /// Tensors only.
    Tensors,
}

impl OutputKind {
    /// Returns the kind of output that a head of this kind makes.
    #[must_use]
    pub fn from_head_kind(kind: &HeadKind) -> Self {
        match kind {
            HeadKind::Reconstruct(_) => Self::Images,
            HeadKind::Classify { .. } => Self::ClassScores,
            HeadKind::Score(_) => Self::Anomalies,
            HeadKind::Series(_) | HeadKind::Tensor {} => Self::Tensors,
        }
    }
}

/// The output of a head for one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The name of the head.
    pub head: String,
    /// The version of the head.
    pub version: u32,
    /// The value.
    pub value: OutputValue,
}

/// The value of an output.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputValue {
    /// Raw values, row-major.
    Tensor {
        /// The shape, without the batch dimension.
        shape: Vec<u32>,
        /// The values.
        values: Vec<f32>,
    },
    /// A PNG file.
    Png(Vec<u8>),
    /// Labels and their probabilities, the highest first.
    ClassScores(Vec<(String, f32)>),
    /// The anomaly score of the frame.
    Anomaly(Anomaly),
}

/// Checks that a head supports an output format.
///
/// # Errors
/// [`DecodeError::InvalidRequest`] if it does not.
pub(crate) fn check_format(spec: &FixedLatentHeadSpec, format: OutputFormat) -> Result<(), DecodeError> {
    let fits = match (&spec.kind, format) {
        (_, OutputFormat::Natural | OutputFormat::Tensor)
        | (HeadKind::Reconstruct(_), OutputFormat::Png)
        | (HeadKind::Classify { .. }, OutputFormat::ClassScores)
        | (HeadKind::Score(_), OutputFormat::Anomaly) => true,
        (_, OutputFormat::Png | OutputFormat::ClassScores | OutputFormat::Anomaly) => false,
    };
    if fits { Ok(()) } else { Err(format_error(&spec.name, OutputKind::from_head_kind(&spec.kind), format)) }
}

/// Converts the values of one frame to the output of a head that does not score.
pub(crate) fn convert_values(
    spec: &FixedLatentHeadSpec,
    format: OutputFormat,
    values: &[f32],
) -> Result<OutputValue, DecodeError> {
    Ok(match (&spec.kind, format) {
        (HeadKind::Reconstruct(image_spec), OutputFormat::Natural | OutputFormat::Png) => {
            let image = lopside_input::image_from_samples(values, image_spec);
            let image =
                image.ok_or_else(|| DecodeError::Internal("a reconstruction has the wrong size".into()))?;
            OutputValue::Png(encode_png(&image)?)
        }
        (HeadKind::Classify { labels }, OutputFormat::Natural | OutputFormat::ClassScores) => {
            OutputValue::ClassScores(class_scores(values, labels))
        }
        (HeadKind::Series(series), OutputFormat::Natural) => OutputValue::Tensor {
            shape: vec![series.length, series.channels.len() as u32],
            values: lopside_input::restore_window(values, series),
        },
        _ => OutputValue::Tensor {
            shape: spec.output.item_dims().unwrap_or_default(),
            values: values.to_vec(),
        },
    })
}

/// Returns the error for an output format that a head does not support.
pub(crate) fn format_error(head: &str, kind: OutputKind, format: OutputFormat) -> DecodeError {
    let makes = match kind {
        OutputKind::Images => "makes images",
        OutputKind::ClassScores => "makes class scores",
        OutputKind::Anomalies => "makes anomaly scores",
        OutputKind::Tensors => "makes tensors",
    };
    let requested = match format {
        OutputFormat::Natural | OutputFormat::Tensor => "tensors",
        OutputFormat::Png => "images",
        OutputFormat::ClassScores => "class scores",
        OutputFormat::Anomaly => "anomaly scores",
    };
    DecodeError::InvalidRequest(format!("head {head:?} {makes} and cannot make {requested}"))
}

/// Returns one probability per logit. The largest logit is subtracted first, so that nothing overflows.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
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
