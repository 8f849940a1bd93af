//! Ranks scores among normal samples by quantile.

use serde::{Deserialize, Serialize};

/// Scores of normal samples at evenly spaced quantiles from 0 to 1, in non-decreasing order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuantileTable {
    values: Vec<f64>,
}

impl QuantileTable {
    /// Number of points of a default table, at steps of 1/128.
    pub const POINTS: usize = 129;

    /// Computes `points` quantiles of the scores of normal samples with linear interpolation (Hyndman and
    /// Fan, Sample quantiles in statistical packages, 1996, definition 7). Returns `None` with fewer than 2
    /// points, without a score, or with a non-finite score.
    #[must_use]
    pub fn new(scores: &[f64], points: usize) -> Option<Self> {
        if points < 2 || scores.is_empty() || scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let mut sorted = scores.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = (points - 1) as f64;
        Some(Self { values: (0..points).map(|point| quantile_of(&sorted, point as f64 / last)).collect() })
    }

    /// Returns the quantile values, lowest first.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns the share of normal samples with a lower score: 0 at the lowest value and below, 1 at the
    /// highest and above.
    #[must_use]
    pub fn quantile(&self, score: f64) -> f64 {
        let above = self.values.partition_point(|&value| value <= score);
        match (above.checked_sub(1), self.values.get(above)) {
            (None, _) => 0.0,
            (_, None) => 1.0,
            (Some(below), Some(upper)) => {
                let lower = self.values[below];
                (below as f64 + (score - lower) / (upper - lower)) / (self.values.len() - 1) as f64
            }
        }
    }

    /// Returns the score at a quantile: the share `quantile` of normal samples lies below it.
    #[must_use]
    pub fn threshold(&self, quantile: f64) -> f64 {
        quantile_of(&self.values, quantile)
    }
}

/// Returns a quantile of sorted values. Requires at least one value.
fn quantile_of(sorted: &[f64], quantile: f64) -> f64 {
    let position = quantile.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (lower, upper) = (sorted[position as usize], sorted[position.ceil() as usize]);
    lower + (upper - lower) * position.fract()
}

#[cfg(test)]
// The compared values are sums and products of small powers of two, which are exact.
#[allow(clippy::float_cmp)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_interpolated_between_points() {
        let table = QuantileTable::new(&[4.0, 0.0, 1.0, 3.0, 2.0], 3).unwrap();
        assert_eq!(table.values(), [0.0, 2.0, 4.0]);
        assert_eq!(
            [-1.0, 0.0, 1.0, 3.0, 4.0, 9.0].map(|score| table.quantile(score)),
            [0.0, 0.0, 0.25, 0.75, 1.0, 1.0]
        );
        assert_eq!([0.0, 0.25, 1.0, 7.0].map(|quantile| table.threshold(quantile)), [0.0, 1.0, 4.0, 4.0]);
    }

    #[test]
    fn invalid_tables_are_refused() {
        assert!(QuantileTable::new(&[1.0], 1).is_none());
        assert!(QuantileTable::new(&[], 5).is_none());
        assert!(QuantileTable::new(&[1.0, f64::NAN], 5).is_none());
    }

    proptest! {
        #[test]
        fn tables_ascend_and_invert_their_thresholds(
            scores in prop::collection::vec(-1e6..1e6_f64, 1..300), quantile in 0.0..1.0_f64,
        ) {
            let table = QuantileTable::new(&scores, QuantileTable::POINTS).unwrap();
            prop_assert!(table.values().is_sorted());
            let threshold = table.threshold(quantile);
            let recovered = table.quantile(threshold);
            prop_assert!((0.0..=1.0).contains(&recovered));
            prop_assert!((table.threshold(recovered) - threshold).abs() < 1e-6);
        }
    }
}
