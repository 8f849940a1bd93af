//! Several scores as one, calibrated on normal samples alone.
//!
//! Scores differ in unit and in spread, and most have a long tail of large values, which would let one of them decide
//! alone. So each goes through `asinh((x - m) / w)`, m the median and w half the width between the quantiles 0.16 and
//! 0.84 of the normal samples: linear near the usual, logarithmic far out, and strictly rising, so that nothing ties
//! however far it is out. What comes of it is standardised by its mean and deviation over the normal samples, and added.

use serde::{Deserialize, Serialize};

use super::QuantileTable;

/// How each score is brought to a common scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Combination {
    terms: Vec<Term>,
}

/// One score's scale, all over the normal samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Term {
    median: f64,
    /// Half the width of the middle 68 %; positive.
    width: f64,
    /// Of what asinh yields.
    mean: f64,
    /// Of what asinh yields; positive.
    deviation: f64,
}

/// One standard deviation to either side of a normal distribution's median.
const MIDDLE: [f64; 2] = [0.16, 0.84];

impl Combination {
    /// Calibrates on the scores of normal samples, one list a kind of score. Samples that nothing was fitted to give a
    /// fairer scale than training samples. `None` when a list is empty or has a score that is not finite.
    #[must_use]
    pub fn fit(normal: &[&[f64]]) -> Option<Self> {
        normal.iter().map(|scores| Term::fit(scores)).collect::<Option<_>>().map(|terms| Self { terms })
    }

    /// The combined score of one sample, from its scores in the order of [`fit`](Self::fit): their sum, each in
    /// standard deviations from the mean of normal samples.
    #[must_use]
    pub fn score(&self, scores: &[f64]) -> f64 {
        self.terms.iter().zip(scores).map(|(term, &score)| term.standardised(score)).sum()
    }

    /// The combined scores of many samples, one list a kind of score.
    #[must_use]
    pub fn scores(&self, kinds: &[&[f64]]) -> Vec<f64> {
        let samples = kinds.iter().map(|scores| scores.len()).min().unwrap_or(0);
        (0..samples)
            .map(|sample| {
                self.terms.iter().zip(kinds).map(|(term, scores)| term.standardised(scores[sample])).sum()
            })
            .collect()
    }
}

impl Term {
    fn fit(scores: &[f64]) -> Option<Self> {
        let table = QuantileTable::new(scores, QuantileTable::POINTS)?;
        let [low, high] = MIDDLE.map(|quantile| table.threshold(quantile));
        let mut term = Self {
            median: table.threshold(0.5),
            width: positive((high - low) / 2.0),
            mean: 0.0,
            deviation: 1.0,
        };
        let tamed: Vec<f64> = scores.iter().map(|&score| term.standardised(score)).collect();
        let count = tamed.len() as f64;
        term.mean = tamed.iter().sum::<f64>() / count;
        term.deviation =
            positive((tamed.iter().map(|x| (x - term.mean).powi(2)).sum::<f64>() / count).sqrt());
        Some(term)
    }

    fn standardised(&self, score: f64) -> f64 {
        (((score - self.median) / self.width).asinh() - self.mean) / self.deviation
    }
}

/// A scale to divide by: scores that do not vary keep theirs.
fn positive(scale: f64) -> f64 {
    if scale > 0.0 { scale } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A long tail: exp of a triangle wave.
    fn skewed(scale: f64) -> Vec<f64> {
        (0..500).map(|i| scale * (f64::from((i * 7919) % 500) / 60.0).exp()).collect()
    }

    #[test]
    fn the_unit_of_a_score_does_not_matter() {
        let (small, large) = (skewed(1e-6), skewed(1e6));
        let both = Combination::fit(&[&small, &large]).unwrap();
        let one = Combination::fit(&[&small]).unwrap();
        for (a, b) in small.iter().zip(&large) {
            assert!((both.score(&[*a, *b]) - 2.0 * one.score(&[*a])).abs() < 1e-9);
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
    fn what_is_far_out_never_ties() {
        let combination = Combination::fit(&[&skewed(1.0)]).unwrap();
        let far: Vec<f64> = (0..40).map(|power| combination.score(&[10_f64.powi(power)])).collect();
        assert!(far.windows(2).all(|pair| pair[0] < pair[1]), "{far:?}");
    }

    #[test]
    fn scores_that_do_not_vary_are_taken() {
        let combination = Combination::fit(&[&[2.0; 9]]).unwrap();
        assert!(combination.score(&[2.0]).abs() < 1e-12 && combination.score(&[3.0]) > 0.0);
        assert!(Combination::fit(&[&[]]).is_none());
        assert!(Combination::fit(&[&[f64::INFINITY]]).is_none());
    }

    proptest! {
        #[test]
        fn a_higher_score_never_combines_lower(
            normal in prop::collection::vec(-1e3..1e3_f64, 2..100), score in -1e6..1e6_f64, more in 0.0..1e6_f64,
        ) {
            let combination = Combination::fit(&[&normal]).unwrap();
            prop_assert!(combination.score(&[score + more]) >= combination.score(&[score]));
        }
    }
}
