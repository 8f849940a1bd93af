//! Measures of how well scores rank anomalies above normal samples.

use std::cmp::Ordering;

/// Returns the area under the receiver operating characteristic: the probability that an anomaly scores
/// higher than a normal sample, with ties counted half. This is Mann and Whitney's U divided by the number of
/// pairs (Hanley and `McNeil`, Radiology 143, 1982). Returns `None` without both kinds, or with a NaN.
#[must_use]
pub fn auroc(scores: &[f64], anomalies: &[bool]) -> Option<f64> {
    let (mut below, mut wins) = (0.0, 0.0);
    for (normal, anomalous) in count_descending(scores, anomalies).into_iter().rev() {
        wins += anomalous * (below + normal / 2.0);
        below += normal;
    }
    let positives = anomalies.iter().filter(|&&anomaly| anomaly).count() as f64;
    (positives > 0.0 && below > 0.0 && is_ordered(scores)).then(|| wins / positives / below)
}

/// Returns the area under the precision–recall curve: the sum over thresholds of precision times gained
/// recall, with tied scores as one threshold (Manning, Raghavan and Schütze, Introduction to Information
/// Retrieval, 2008, section 8.4). Returns `None` without an anomaly, or with a NaN.
#[must_use]
pub fn average_precision(scores: &[f64], anomalies: &[bool]) -> Option<f64> {
    let positives = anomalies.iter().filter(|&&anomaly| anomaly).count() as f64;
    let (mut ranked, mut true_positives, mut area) = (0.0, 0.0, 0.0);
    for (normal, anomalous) in count_descending(scores, anomalies) {
        ranked += normal + anomalous;
        true_positives += anomalous;
        area += anomalous / positives * true_positives / ranked;
    }
    (positives > 0.0 && is_ordered(scores)).then_some(area)
}

/// Returns whether the scores can be ordered, that is, contain no NaN.
fn is_ordered(scores: &[f64]) -> bool {
    !scores.iter().any(|score| score.is_nan())
}

/// Counts the normal samples and anomalies at each distinct score, highest score first.
fn count_descending(scores: &[f64], anomalies: &[bool]) -> Vec<(f64, f64)> {
    let mut order: Vec<(f64, bool)> = scores.iter().copied().zip(anomalies.iter().copied()).collect();
    // Adding 0 turns -0 into 0; `total_cmp` would order them differently.
    order.sort_unstable_by(|a, b| (b.0 + 0.0).total_cmp(&(a.0 + 0.0)));
    order
        .chunk_by(|a, b| a.0.partial_cmp(&b.0) == Some(Ordering::Equal))
        .map(|tied| {
            let anomalous = tied.iter().filter(|(_, anomaly)| *anomaly).count() as f64;
            (tied.len() as f64 - anomalous, anomalous)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: [bool; 5] = [false, false, true, true, false];

    fn assert_close(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?} is not {expected}");
    }

    #[test]
    fn only_the_order_matters() {
        assert_close(auroc(&[0.1, 0.2, 0.9, 0.8, 0.3], &FLAGS), 1.0);
        assert_close(auroc(&[5.0, 4.0, -1.0, 0.0, 1.0], &FLAGS), 0.0);
        assert_close(auroc(&[0.1, 0.4, 0.35, 0.8, 0.2], &FLAGS), 5.0 / 6.0);
        assert_close(average_precision(&[0.1, 0.4, 0.35, 0.8, 0.2], &FLAGS), 0.5 + 0.5 * 2.0 / 3.0);
    }

    #[test]
    fn ties_count_half() {
        assert_close(auroc(&[1.0; 5], &FLAGS), 0.5);
        assert_close(auroc(&[0.0, 1.0, 1.0, 2.0, 0.0], &FLAGS), 5.5 / 6.0);
        assert_close(average_precision(&[1.0; 5], &FLAGS), 0.4);
        assert_close(auroc(&[0.0, -0.0], &[true, false]), 0.5);
    }

    #[test]
    fn a_single_class_has_no_area() {
        assert_eq!(auroc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(auroc(&[1.0, 2.0], &[false, false]), None);
        assert_eq!(average_precision(&[1.0], &[false]), None);
        assert_eq!(auroc(&[], &[]), None);
        assert_eq!(auroc(&[1.0, f64::NAN], &[true, false]), None);
    }
}
