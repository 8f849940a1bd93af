//! Anomaly scores: their parts, and their meaning relative to normal samples.
//!
//! The **parts** of a score are the bits that a latent costs, columns of a score head's output (such as the
//! distance between a latent and the latent of its own reconstruction), and, if the caller sends the input
//! along, the error of the reconstruction. Each part is standardised by its mean and deviation on normal
//! samples. The weighted sum of the parts is the **score**. The **quantile** of a part or a score is the
//! share of normal samples that it exceeds.

use serde::{Deserialize, Serialize};

use crate::{BundleError, TensorSpec, check::require};

/// The specification that turns a score head's output into a score, a quantile and a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreSpec {
    /// The parts, at least one, each source once.
    pub parts: Vec<ScorePartSpec>,
    /// Quantiles of the sum of the parts that do not need the input.
    pub quantiles: Quantiles,
    /// Quantiles of the sum of all parts, if some need the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantiles_with_input: Option<Quantiles>,
    /// The quantile from which the verdict is "anomalous", 0 to 1.
    pub threshold: f32,
    /// A second output of the head's model: the input as the decoder reconstructs it. Required for parts that
    /// need the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconstruction: Option<TensorSpec>,
}

/// One part of a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorePartSpec {
    /// The name of the part.
    pub name: String,
    /// The source of the part's values.
    pub source: ScorePartSource,
    /// Weight in the score, 0 or more; a part of weight 0 is only reported beside the score.
    pub weight: f32,
    /// Mean over normal samples.
    pub mean: f32,
    /// Standard deviation over normal samples, positive.
    pub deviation: f32,
    /// Quantiles over normal samples.
    pub quantiles: Quantiles,
}

/// The source of a part's values. All values are 0 or more, and larger is more unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScorePartSource {
    /// −log₂ of the probability of the latent's integers under the entropy tables. It covers the layers that
    /// a frame carries, so the quantiles apply only to frames with as many layers as the frames they were
    /// measured on.
    Bits,
    /// A column of the head's output, counted from 0.
    Column(u32),
    /// The mean squared error of the reconstruction, in the units of the encoder's input. Needs the input.
    Error,
    /// The squared error of the reconstruction, divided by the squared values of the input. Needs the input.
    RelativeError,
}

impl ScorePartSource {
    /// Returns whether the part can be computed only with the original input.
    #[must_use]
    pub const fn needs_input(self) -> bool {
        matches!(self, Self::Error | Self::RelativeError)
    }
}

/// A distribution by its quantiles: 2 to 4097 values, ascending. Of the normal samples, the share `1 − i / (n
/// − 1)` exceeds value `i` of `n`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantiles(Vec<f32>);

impl Quantiles {
    /// Computes the quantiles of these samples at `count` even steps from 0 to 1, by linear interpolation of
    /// the order statistics (Hyndman and Fan 1996, definition 7). Returns `None` for an empty slice, samples
    /// that are not finite, or fewer than 2 points.
    #[must_use]
    pub fn from_samples(samples: &[f32], count: usize) -> Option<Self> {
        if samples.is_empty() || count < 2 || samples.iter().any(|sample| !sample.is_finite()) {
            return None;
        }
        let mut sorted = samples.to_vec();
        sorted.sort_by(f32::total_cmp);
        let quantiles = (0..count).map(|index| {
            let position = index as f64 / (count - 1) as f64 * (sorted.len() - 1) as f64;
            let low = position.floor() as usize;
            let high = (low + 1).min(sorted.len() - 1);
            let (a, b) = (f64::from(sorted[low]), f64::from(sorted[high]));
            (a + (b - a) * (position - low as f64)) as f32
        });
        Some(Self(quantiles.collect()))
    }

    /// Returns the share of normal samples below a value, 0 to 1. A value that is not a number counts as above all
    /// samples: no normal sample has one, and a model that fails must not look normal.
    #[must_use]
    pub fn quantile(&self, value: f32) -> f32 {
        if value.is_nan() {
            return 1.0;
        }
        let upper_index = self.0.partition_point(|&knot| knot <= value);
        let (Some(lower_index), interval_count) = (upper_index.checked_sub(1), (self.0.len() - 1) as f64)
        else {
            return 0.0;
        };
        let Some(&high) = self.0.get(upper_index) else { return 1.0 };
        // The difference of two f32 may overflow an f32.
        let [value, low, high] = [value, self.0[lower_index], high].map(f64::from);
        ((lower_index as f64 + (value - low) / (high - low)) / interval_count) as f32
    }

    fn check(&self, field: &str) -> Result<(), BundleError> {
        let is_valid = (2..=4097).contains(&self.0.len()) && self.0.iter().all(|knot| knot.is_finite());
        require(is_valid && self.0.is_sorted(), field, || {
            "quantiles must be 2 to 4097 finite values in ascending order".into()
        })
    }
}

impl ScorePartSpec {
    /// Returns the contribution of a value to the score: its distance from the mean in standard deviations,
    /// times the weight. The term is unbounded, so that extreme values stay distinguishable. A part of weight 0
    /// contributes nothing, also if its value is infinite or not a number.
    #[must_use]
    pub fn term(&self, value: f32) -> f32 {
        if self.weight == 0.0 { 0.0 } else { self.weight * (value - self.mean) / self.deviation }
    }
}

impl ScoreSpec {
    /// Returns the number of columns of the head's output.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.parts.iter().filter(|part| matches!(part.source, ScorePartSource::Column(_))).count()
    }

    pub(crate) fn check(&self, field: &str) -> Result<(), BundleError> {
        let parts_field = format!("{field}.parts");
        let mut sources: Vec<ScorePartSource> = self.parts.iter().map(|part| part.source).collect();
        sources.sort_by_key(|source| match source {
            ScorePartSource::Column(column) => u64::from(*column),
            ScorePartSource::Bits => u64::MAX - 2,
            ScorePartSource::Error => u64::MAX - 1,
            ScorePartSource::RelativeError => u64::MAX,
        });
        let columns = self.columns();
        require(columns > 0, &parts_field, || {
            "at least one part must be a column of the head's output".into()
        })?;
        let is_in_order =
            (0_u32..).zip(&sources[..columns]).all(|(i, source)| *source == ScorePartSource::Column(i));
        sources.dedup();
        let has_distinct_sources = sources.len() == self.parts.len();
        require(is_in_order && has_distinct_sources, &parts_field, || {
            "parts must have different sources, and the columns must be 0, 1, … in order".into()
        })?;
        let has_part_without_input = self.parts.iter().any(|part| !part.source.needs_input());
        require(has_part_without_input, &parts_field, || "at least one part must not need the input".into())?;
        let has_part_with_input = self.parts.iter().any(|part| part.source.needs_input());
        let is_consistent = has_part_with_input == self.quantiles_with_input.is_some();
        require(
            is_consistent && (!has_part_with_input || self.reconstruction.is_some()),
            &parts_field,
            || {
                "quantiles_with_input must be given if, and only if, a part needs the input, and such a part also needs \
             reconstruction"
                .into()
            },
        )?;
        require((0.0..=1.0).contains(&self.threshold), &format!("{field}.threshold"), || {
            "it must be between 0 and 1".into()
        })?;
        for part in &self.parts {
            let is_positive = part.deviation.is_finite() && part.deviation > 0.0;
            let is_weight_valid = part.weight.is_finite() && part.weight >= 0.0;
            require(part.mean.is_finite() && is_positive && is_weight_valid, &parts_field, || {
                "every mean must be finite, every deviation positive, and no weight negative".into()
            })?;
            part.quantiles.check(&parts_field)?;
        }
        self.quantiles.check(&format!("{field}.quantiles"))?;
        let with_input = self.quantiles_with_input.as_ref();
        with_input.map_or(Ok(()), |quantiles| quantiles.check(&format!("{field}.quantiles_with_input")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_and_saturate() {
        let samples: Vec<f32> = (0..=100).rev().map(|i| i as f32).collect();
        let quantiles = Quantiles::from_samples(&samples, 5).unwrap();
        assert_eq!(quantiles.0, [0.0, 25.0, 50.0, 75.0, 100.0]);
        for (value, expected) in
            [(-1.0, 0.0), (0.0, 0.0), (25.0, 0.25), (60.0, 0.6), (100.0, 1.0), (1e9, 1.0)]
        {
            assert!((quantiles.quantile(value) - expected).abs() < 1e-6, "{value}");
        }
        let flat = Quantiles::from_samples(&[3.0; 9], 4).unwrap();
        assert_eq!((flat.quantile(2.9), flat.quantile(3.0)), (0.0, 1.0));
        assert_eq!((flat.quantile(f32::NEG_INFINITY), flat.quantile(f32::INFINITY)), (0.0, 1.0));
        assert_eq!(Quantiles::from_samples(&[], 4), None);
        assert_eq!(Quantiles::from_samples(&[f32::NAN], 4), None);
    }

    #[test]
    fn a_value_that_is_no_number_is_above_all_samples() {
        let quantiles = Quantiles::from_samples(&[0.0, 1.0, 2.0], 3).unwrap();
        for value in [f32::NAN, -f32::NAN] {
            assert!(quantiles.quantile(value) >= 1.0);
        }
    }

    #[test]
    fn quantiles_over_the_whole_range_are_numbers() {
        let quantiles = Quantiles(vec![f32::MIN, f32::MAX]);
        for (value, expected) in [(f32::MIN, 0.0), (0.0, 0.5), (1e38, 0.647), (f32::MAX, 1.0)] {
            assert!((quantiles.quantile(value) - expected).abs() < 1e-3, "{value}");
        }
    }

    #[test]
    fn a_part_without_weight_contributes_nothing() {
        let part = |weight| ScorePartSpec {
            name: "error".into(),
            source: ScorePartSource::Error,
            weight,
            mean: 1.0,
            deviation: 2.0,
            quantiles: Quantiles(vec![0.0, 1.0]),
        };
        for value in [f32::NAN, f32::INFINITY, 5.0] {
            assert!(part(0.0).term(value) == 0.0, "{value}");
        }
        assert!((part(3.0).term(5.0) - 6.0).abs() < 1e-6);
        assert!(part(3.0).term(f32::NAN).is_nan());
    }

    #[test]
    fn more_normal_samples_below_means_a_higher_quantile() {
        let samples: Vec<f32> = (0..1000).map(|i| ((i * 37) % 1000) as f32 / 10.0).collect();
        let quantiles = Quantiles::from_samples(&samples, 129).unwrap();
        let mut last = -1.0;
        for value in (0..2000).map(|i| i as f32 / 15.0 - 10.0) {
            let quantile = quantiles.quantile(value);
            let fraction = samples.iter().filter(|&&sample| sample < value).count() as f32 / 1000.0;
            assert!(quantile >= last && (quantile - fraction).abs() < 0.01, "{value}: {quantile} {fraction}");
            last = quantile;
        }
    }
}
