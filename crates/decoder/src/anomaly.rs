//! Anomaly scores: the parts, score, quantile, verdict and heat map of a head that scores.

use image::{DynamicImage, Rgb, RgbImage};
use lopside_bundle::{
    ImageSpec, InputSpec,
    score::{Quantiles, ScorePartSource, ScorePartSpec, ScoreSpec},
};

use crate::{DecodeError, png::encode_png};

/// The result of a head that scores, for one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// The weighted sum of the parts, each standardised over normal samples; a larger score is more unusual.
    pub score: f32,
    /// The fraction of normal samples with a lower score, 0 to 1.
    pub quantile: f32,
    /// Whether the quantile reaches the bundle's threshold.
    pub anomalous: bool,
    /// The parts of the score, in the bundle's order. Without a reference input, the parts that need one are
    /// missing.
    pub parts: Vec<AnomalyPart>,
    /// A PNG file of the difference between reconstruction and input; `None` unless an image was sent along.
    pub heat_map: Option<Vec<u8>>,
}

/// One part of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct AnomalyPart {
    /// The name of the part.
    pub name: String,
    /// The value, 0 or more.
    pub value: f32,
    /// The fraction of normal samples with a lower value, 0 to 1.
    pub quantile: f32,
}

/// The data that the score of one frame is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScoreInput<'a> {
    /// −log₂ of the probability of the latent.
    pub(crate) bits: f64,
    /// The columns of the head's output.
    pub(crate) columns: &'a [f32],
    /// The input as the encoder reads it, and its reconstruction; `None` if either is missing.
    pub(crate) input_and_reconstruction: Option<(&'a [f32], &'a [f32])>,
}

/// Computes the parts, the score, the verdict and the heat map of a frame.
///
/// # Errors
/// [`DecodeError::Internal`] if the heat map cannot be encoded.
pub(crate) fn score_frame(
    spec: &ScoreSpec,
    input: &InputSpec,
    score_input: ScoreInput<'_>,
) -> Result<Anomaly, DecodeError> {
    let known = spec.parts.iter().filter_map(|part| Some((part, part_value(part.source, score_input)?)));
    let known: Vec<(&ScorePartSpec, f32)> = known.collect();
    let score = known.iter().map(|(part, value)| part.term(*value)).sum();
    let quantile = score_quantiles(spec, score_input).quantile(score);
    let heat_map = match (input, score_input.input_and_reconstruction) {
        (InputSpec::Picture(spec), Some((input, output))) => Some(heat_map(spec, input, output)?),
        _ => None,
    };
    let anomalous = quantile >= spec.threshold;
    let parts = known.into_iter().map(|(part, value)| AnomalyPart {
        name: part.name.clone(),
        value,
        quantile: part.quantiles.quantile(value),
    });
    Ok(Anomaly { score, quantile, anomalous, parts: parts.collect(), heat_map })
}

fn score_quantiles<'a>(spec: &'a ScoreSpec, score_input: ScoreInput<'_>) -> &'a Quantiles {
    let with_input =
        spec.quantiles_with_input.as_ref().filter(|_| score_input.input_and_reconstruction.is_some());
    with_input.unwrap_or(&spec.quantiles)
}

fn part_value(source: ScorePartSource, score_input: ScoreInput<'_>) -> Option<f32> {
    match source {
        ScorePartSource::Bits => Some(score_input.bits as f32),
        ScorePartSource::Column(column) => score_input.columns.get(column as usize).copied(),
        ScorePartSource::Error => score_input
            .input_and_reconstruction
            .map(|(input, output)| (squared_error(input, output) / input.len().max(1) as f64) as f32),
        ScorePartSource::RelativeError => score_input.input_and_reconstruction.map(|(input, output)| {
            let energy: f64 = input.iter().map(|&value| f64::from(value).powi(2)).sum();
            (squared_error(input, output) / energy.max(1e-12)) as f32
        }),
    }
}

/// Returns the sum of the squared errors.
fn squared_error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// The error at which the heat map is white, as a fraction of the value range.
const WHITE_ERROR: f32 = 0.5;

/// Draws the heat map: black for equal values, through red and yellow, to white for an error of half of the
/// value range or more. The errors of several channels are averaged.
fn heat_map(spec: &ImageSpec, input: &[f32], output: &[f32]) -> Result<Vec<u8>, DecodeError> {
    let pixels = spec.width as usize * spec.height as usize;
    let spans: Vec<f32> = spec.low.iter().zip(&spec.high).map(|(low, high)| high - low).collect();
    let map = RgbImage::from_fn(spec.width, spec.height, |x, y| {
        let pixel = (y * spec.width + x) as usize;
        let errors = spans.iter().enumerate().map(|(channel, span)| {
            let index = channel * pixels + pixel;
            let pair = input.get(index).zip(output.get(index));
            pair.map_or(0.0, |(a, b)| (a - b).abs() / span)
        });
        let error = errors.sum::<f32>() / spans.len() as f32;
        heat_colour(error / WHITE_ERROR)
    });
    encode_png(&DynamicImage::from(map))
}

/// Returns the colour of a relative error, 0 to 1.
fn heat_colour(value: f32) -> Rgb<u8> {
    Rgb([0.0, 1.0 / 3.0, 2.0 / 3.0].map(|start: f32| ((value - start) * 3.0 * 255.0).round() as u8))
}

#[cfg(test)]
mod tests {
    use lopside_bundle::Channels;

    use super::*;

    fn part(name: &str, source: ScorePartSource) -> ScorePartSpec {
        let quantiles = Quantiles::from_samples(&[1.0, 2.0, 3.0], 3).unwrap();
        ScorePartSpec { name: name.into(), source, weight: 1.0, mean: 1.0, deviation: 2.0, quantiles }
    }

    fn spec() -> ScoreSpec {
        ScoreSpec {
            parts: vec![
                part("bits", ScorePartSource::Bits),
                part("re-encoding", ScorePartSource::Column(0)),
                part("error", ScorePartSource::Error),
                ScorePartSpec { weight: 0.0, ..part("relative-error", ScorePartSource::RelativeError) },
            ],
            quantiles: Quantiles::from_samples(&[0.0, 1.0], 2).unwrap(),
            quantiles_with_input: Quantiles::from_samples(&[0.0, 2.0], 2),
            threshold: 0.5,
            reconstruction: None,
        }
    }

    fn picture() -> InputSpec {
        InputSpec::Picture(ImageSpec::with_uniform_range(2, 1, Channels::Grey, -1.0, 1.0))
    }

    #[test]
    fn parts_are_standardised_and_added() {
        let score_input = ScoreInput { bits: 2.0, columns: &[3.0], input_and_reconstruction: None };
        let anomaly = score_frame(&spec(), &picture(), score_input).unwrap();
        assert_eq!((anomaly.score, anomaly.quantile), (1.5, 1.0));
        assert!(anomaly.anomalous && anomaly.heat_map.is_none());
        let parts: Vec<_> = anomaly.parts.iter().map(|part| (part.name.as_str(), part.quantile)).collect();
        assert_eq!(parts, [("bits", 0.5), ("re-encoding", 1.0)]);
    }

    #[test]
    fn a_reference_input_adds_its_error_and_a_heat_map() {
        let compared = Some((&[0.0, 0.5][..], &[0.0, -0.5][..]));
        let score_input = ScoreInput { bits: 1.0, columns: &[1.0], input_and_reconstruction: compared };
        let anomaly = score_frame(&spec(), &picture(), score_input).unwrap();
        assert_eq!((anomaly.parts.len(), anomaly.parts[2].value, anomaly.parts[3].value), (4, 0.5, 4.0));
        assert_eq!((anomaly.score, anomaly.quantile, anomaly.anomalous), (-0.25, 0.0, false));
        let map = image::load_from_memory(&anomaly.heat_map.unwrap()).unwrap().to_rgb8();
        assert_eq!(map.as_raw(), &[0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn heat_rises_from_black_to_white() {
        assert_eq!(
            [0.0, 1.0 / 3.0, 0.6, 1.0, 9.0].map(|value| heat_colour(value).0),
            [[0, 0, 0], [255, 0, 0], [255, 204, 0], [255, 255, 255], [255, 255, 255],]
        );
    }
}
