//! Combines several scores into one, calibrated on normal samples only.
//!
//! Scores differ in unit and spread. Each is standardised by its mean and standard deviation over normal
//! samples, and the results are added. The sum rises strictly with every score, so extreme samples do not
//! tie. Transforms that compress long tails first (asinh, logarithm) ranked no better on digits with
//! principal components, mostly a little worse.

use serde::{Deserialize, Serialize};

/// Calibration that brings several scores to a common scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Combination {
    terms: Vec<ScoreScale>,
}

/// The scale of one score over the normal samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct ScoreScale {
    mean: f64,
    /// Standard deviation, positive.
    deviation: f64,
}

impl Combination {
    /// Calibrates on the scores of normal samples, one slice per kind of score. Held-out samples give a
    /// fairer scale than training samples. Returns `None` when a slice is empty or contains a non-finite
    /// score.
    #[must_use]
    pub fn fit(normal: &[&[f64]]) -> Option<Self> {
        normal.iter().map(|scores| ScoreScale::fit(scores)).collect::<Option<_>>().map(|terms| Self { terms })
    }

    /// Returns the combined score of one sample: the sum of its scores, in the order of [`fit`](Self::fit),
    /// each in standard deviations from the mean of normal samples.
    #[must_use]
    pub fn score(&self, scores: &[f64]) -> f64 {
        self.terms.iter().zip(scores).map(|(term, &score)| term.standardised(score)).sum()
    }

    /// Returns the combined scores of many samples, from one slice per kind of score.
    #[must_use]
    pub fn scores(&self, scores_by_kind: &[&[f64]]) -> Vec<f64> {
        let samples = scores_by_kind.iter().map(|scores| scores.len()).min().unwrap_or(0);
        (0..samples)
            .map(|sample| {
                self.terms
                    .iter()
                    .zip(scores_by_kind)
                    .map(|(term, scores)| term.standardised(scores[sample]))
                    .sum()
            })
            .collect()
    }
}

impl ScoreScale {
    fn fit(scores: &[f64]) -> Option<Self> {
        if scores.is_empty() || scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let count = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / count;
        let deviation = (scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / count).sqrt();
        // Constant scores keep their unit.
        Some(Self { mean, deviation: if deviation > 0.0 { deviation } else { 1.0 } })
    }

    fn standardised(&self, score: f64) -> f64 {
        (score - self.mean) / self.deviation
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes a long-tailed distribution: exp of a triangle wave.
    fn skewed(scale: f64) -> Vec<f64> {
        (0..500).map(|i| scale * (f64::from((i * 7919) % 500) / 60.0).exp()).collect()
    }

    #[test]
    fn the_unit_of_a_score_does_not_matter() {
        let (small, large) = (skewed(1e-6), skewed(1e6));
        let both = Combination::fit(&[&small, &large]).unwrap();
        let single = Combination::fit(&[&small]).unwrap();
        for (a, b) in small.iter().zip(&large) {
            assert!((both.score(&[*a, *b]) - 2.0 * single.score(&[*a])).abs() < 1e-9);
        }
    }

    #[test]
    fn normal_samples_have_mean_0_and_deviation_1() {
        let normal = skewed(3.0);
        let scores = Combination::fit(&[&normal]).unwrap().scores(&[&normal]);
        let mean = scores.iter().sum::<f64>() / 500.0;
        let variance = scores.iter().map(|x| x * x).sum::<f64>() / 500.0;
        assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9, "{mean} {variance}");
    }

    #[test]
    fn extreme_scores_never_tie() {
        let combination = Combination::fit(&[&skewed(1.0)]).unwrap();
        let far: Vec<f64> = (0..40).map(|power| combination.score(&[10_f64.powi(power)])).collect();
        assert!(far.windows(2).all(|pair| pair[0] < pair[1]), "{far:?}");
    }

    #[test]
    fn constant_scores_are_accepted() {
        let combination = Combination::fit(&[&[2.0; 9]]).unwrap();
        assert!(combination.score(&[2.0]).abs() < 1e-12 && combination.score(&[3.0]) > 0.0);
        assert!(Combination::fit(&[&[]]).is_none());
        assert!(Combination::fit(&[&[f64::INFINITY]]).is_none());
    }

    proptest! {
        #[test]
        fn a_higher_score_never_combines_lower(
            normal in prop::collection::vec(-1e3..1e3_f64, 2..100), score in -1e6..1e6_f64, increase in 0.0..1e6_f64,
        ) {
            let combination = Combination::fit(&[&normal]).unwrap();
            prop_assert!(combination.score(&[score + increase]) >= combination.score(&[score]));
        }
    }
}
