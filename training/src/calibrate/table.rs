//! Builds the entropy table of a run.
//!
//! With many values, the table holds plain counts. With few values, unseen integers get a share too, by
//! Witten and Bell's method C (IEEE Transactions on Information Theory 37(4), 1991): as many observations as
//! there are distinct integers go to a prior. The prior is a two-sided geometric distribution with the run's
//! mean and deviation, over slightly more than its range.

use std::ops::Range;

use lopside_latent::{MAX_TABLE_SYMBOLS, Table};

use crate::TrainingError;

/// Number of values per run from which on a table holds plain counts, without smoothing.
pub(super) const MIN_UNSMOOTHED_VALUES: usize = 4096;
/// Weight of one observation, so that the prior can have fractions of one.
const OBSERVATION_WEIGHT: f64 = 65536.0;

/// Builds the table of the values `run` of these rows. It covers all integers seen, or the middle ones if
/// there are too many.
pub(super) fn from_rows(rows: &[Vec<i32>], run: Range<usize>) -> Result<Table, TrainingError> {
    let mut values: Vec<i32> = rows.iter().flat_map(|row| row[run.clone()].iter().copied()).collect();
    values.sort_unstable();
    let prior = (values.len() < MIN_UNSMOOTHED_VALUES).then(|| Prior::from_values(&values));
    let margin = prior.as_ref().map_or(0, Prior::margin);
    let median = values[values.len() / 2];
    let half_symbols = MAX_TABLE_SYMBOLS as i32 / 2;
    let low = values[0].saturating_sub(margin).max(median.saturating_sub(half_symbols));
    let high = values[values.len() - 1].saturating_add(margin).min(median.saturating_add(half_symbols - 1));
    let mut counts = vec![0_u64; (high - low + 1) as usize];
    values
        .iter()
        .filter(|value| (low..=high).contains(*value))
        .for_each(|value| counts[(value - low) as usize] += 1);
    if let Some(prior) = prior {
        prior.add(low, &mut counts);
    }
    Ok(Table::from_counts(low, &counts)?)
}

/// A two-sided geometric distribution.
struct Prior {
    mean: f64,
    deviation: f64,
}

impl Prior {
    fn from_values(values: &[i32]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
        let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        // At least half a step, for runs of a single integer.
        Self { mean, deviation: variance.sqrt().max(0.5) }
    }

    /// Returns the margin of the table beyond the smallest and the largest integer seen.
    fn margin(&self) -> i32 {
        self.deviation.ceil() as i32
    }

    /// Adds the prior's observations to the counts of the integers from `low` on.
    fn add(&self, low: i32, counts: &mut [u64]) {
        let distinct = counts.iter().filter(|&&count| count > 0).count() as f64;
        let sum: f64 = (0..counts.len()).map(|index| self.weigh_integer(low, index)).sum();
        for (index, count) in counts.iter_mut().enumerate() {
            let probability = self.weigh_integer(low, index) / sum.max(f64::MIN_POSITIVE);
            *count = (OBSERVATION_WEIGHT * (*count as f64 + distinct * probability)).round() as u64;
        }
    }

    /// Returns the probability of the integer `low + index`, up to a common factor.
    fn weigh_integer(&self, low: i32, index: usize) -> f64 {
        let distance = (f64::from(low) + index as f64 - self.mean).abs();
        (-std::f64::consts::SQRT_2 * distance / self.deviation).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: impl Iterator<Item = i32>) -> Vec<Vec<i32>> {
        values.map(|value| vec![value]).collect()
    }

    #[test]
    fn far_outliers_use_the_escape_symbol() {
        for count in [100, 5000] {
            let rows = rows((0..count).map(|i| if i == 0 { 1_000_000 } else { i % 3 }));
            let table = from_rows(&rows, 0..1).unwrap();
            assert!((-2048..=0).contains(&table.min()) && table.max() < 4096, "{table:?}");
            assert!(table.symbol_bits(1) < 2.0, "{}", table.symbol_bits(1));
        }
    }

    #[test]
    fn many_values_are_counted_without_smoothing() {
        let table = from_rows(&rows((0..5000).map(|i| 10 + i % 4)), 0..1).unwrap();
        assert_eq!((table.min(), table.max()), (10, 13));
    }

    #[test]
    fn few_values_are_smoothed_to_their_neighbours() {
        let table = from_rows(&rows((0..20).map(|i| 3 * i)), 0..1).unwrap();
        assert!(table.min() < 0 && table.max() > 57);
        // Seen integers share half of the probability; integers between them have more than the minimum.
        assert!((4.5..5.4).contains(&table.symbol_bits(30)), "{}", table.symbol_bits(30));
        assert!((5.4..9.0).contains(&table.symbol_bits(31)), "{}", table.symbol_bits(31));
        let single = from_rows(&rows((0..50).map(|_| 7)), 0..1).unwrap();
        assert!(single.symbol_bits(7) < 0.1 && single.symbol_bits(8) < 12.0, "{}", single.symbol_bits(8));
    }
}
