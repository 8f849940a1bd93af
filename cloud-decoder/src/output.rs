//! A head's numbers as what a client asked for.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use lopside_bundle::{Channels, HeadKind, HeadSpec, Preprocess};

use crate::ServeError;

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// PNG of a picture, class scores of a classification.
    Natural,
    /// The raw numbers.
    Tensor,
    /// An 8-bit PNG.
    Png,
    /// A probability a class.
    ClassScores,
}

/// What a head can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    /// Pictures: PNG or tensor.
    Pictures,
    /// Class scores, or the logits as a tensor.
    ClassScores,
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
}

/// Turns the numbers of one frame into the answer.
pub(crate) fn make(
    spec: &HeadSpec,
    preprocess: &Preprocess,
    format: Format,
    values: &[f32],
) -> Result<Output, ServeError> {
    let value = match (&spec.kind, format) {
        (_, Format::Tensor) => {
            Value::Tensor { shape: spec.output.item_dims().unwrap_or_default(), values: values.to_vec() }
        }
        (HeadKind::Reconstruct { width, height, channels }, Format::Natural | Format::Png) => {
            Value::Png(png(values, (*width, *height), *channels, preprocess)?)
        }
        (HeadKind::Classify { labels }, Format::Natural | Format::ClassScores) => {
            Value::ClassScores(class_scores(values, labels))
        }
        (HeadKind::Reconstruct { .. }, Format::ClassScores) => {
            return Err(no_class_scores(&spec.name));
        }
        (HeadKind::Classify { .. }, Format::Png) => {
            return Err(mismatch(&spec.name, "classifies, it makes no pictures"));
        }
    };
    Ok(Output { head: spec.name.clone(), version: spec.version, value })
}

/// Why a head that makes pictures makes no class scores.
pub(crate) fn no_class_scores(head: &str) -> ServeError {
    mismatch(head, "makes pictures, not class scores")
}

/// A PNG file of a picture.
pub(crate) fn encode_png(picture: &DynamicImage) -> Result<Vec<u8>, ServeError> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, ImageFormat::Png).map_err(|error| ServeError::Internal(error.to_string()))?;
    Ok(out.into_inner())
}

fn mismatch(head: &str, what: &str) -> ServeError {
    ServeError::Request(format!("head {head:?} {what}"))
}

/// Samples in `low…high` to 0…255, rounded to nearest and clamped; planes to pixels.
fn png(
    values: &[f32],
    (width, height): (u32, u32),
    channels: Channels,
    preprocess: &Preprocess,
) -> Result<Vec<u8>, ServeError> {
    let scale = 255.0 / (preprocess.high - preprocess.low);
    // A float to u8 cast saturates, so values outside the range are clamped.
    let sample = |value: f32| ((value - preprocess.low) * scale).round() as u8;
    let plane = width as usize * height as usize;
    let picture: Option<DynamicImage> = match channels {
        Channels::Grey => {
            GrayImage::from_raw(width, height, values.iter().copied().map(sample).collect()).map(Into::into)
        }
        Channels::Rgb => {
            let pixels = (0..plane).flat_map(|i| [values[i], values[plane + i], values[2 * plane + i]]);
            RgbImage::from_raw(width, height, pixels.map(sample).collect()).map(Into::into)
        }
    };
    let picture =
        picture.ok_or_else(|| ServeError::Internal("a reconstruction has the wrong size".into()))?;
    encode_png(&picture)
}

/// Softmax, with the largest logit taken off first so that nothing overflows.
fn class_scores(logits: &[f32], labels: &[String]) -> Vec<(String, f32)> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = weights.iter().sum();
    let mut scores: Vec<(String, f32)> =
        labels.iter().cloned().zip(weights.into_iter().map(|weight| weight / sum)).collect();
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

    #[test]
    fn samples_are_rounded_and_clamped_and_planes_become_pixels() {
        let preprocess = Preprocess { width: 2, height: 1, channels: Channels::Rgb, low: -1.0, high: 1.0 };
        let values = [-1.0, 1.0, 0.0, 2.0, -3.0, 0.002];
        let png = png(&values, (2, 1), Channels::Rgb, &preprocess).unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(picture.as_raw(), &[0, 128, 0, 255, 255, 128]);
    }
}
