//! The Bjøntegaard delta rate: the difference in bit rate between two codecs at the same quality.
//!
//! G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", ITU-T VCEG-M33, 2001, with
//! the piecewise cubic of the later VCEG-AI11 in its monotone form (PCHIP): log10 of the rate is a curve over
//! quality, and the result is ten to the mean distance of the two curves, over the qualities that both reach.
//!
//! A point is dominated if another one has a quality at least as high for no more bits. Dominated points are
//! left out: they are never the best choice, and the rate is a function of quality only if both rise
//! together. The remaining points rise strictly.

use std::ops::Range;

use crate::{QualityError, pchip::Pchip};

/// Minimum number of points of a curve; with fewer, a cubic fit is not reliable.
const MIN_POINTS: usize = 4;

/// Bit rate and quality of a codec at one setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatePoint {
    /// Bits per pixel, more than 0.
    pub bpp: f64,
    /// Quality, higher is better: PSNR or MS-SSIM in dB, the same measure for both codecs.
    pub quality: f64,
}

/// The comparison of two codecs over the qualities that both reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BdRate {
    /// Bit rate of the tested codec relative to the anchor at the same quality, in percent: −30 means 30 %
    /// fewer bits.
    pub percent: f64,
    /// The lowest quality compared.
    pub low: f64,
    /// The highest quality compared.
    pub high: f64,
}

/// Returns the change in bit rate of `test` against `anchor` in percent, over all qualities that both curves
/// reach: ten to the mean distance of log10 of the two rates, each a monotone cubic (PCHIP) over quality.
///
/// The points may be in any order. Points that another point of the curve dominates, with a quality at least
/// as high for no more bits, are left out.
///
/// # Errors
/// [`QualityError::InvalidRatePoint`] for a rate that is not positive or a number that is not finite,
/// [`QualityError::TooFewPoints`] when fewer than four points of a curve remain, [`QualityError::NoOverlap`]
/// when the curves do not reach a common quality.
pub fn bd_rate(anchor: &[RatePoint], test: &[RatePoint]) -> Result<BdRate, QualityError> {
    let (anchor, test) = (log_rate_curve("anchor", anchor)?, log_rate_curve("test", test)?);
    let qualities = anchor.min_x()..anchor.max_x();
    compare_curves(&anchor, &test, qualities)
}

/// Like [`bd_rate`], but over the qualities that the anchor's curve reaches between `low_bpp` and `high_bpp`
/// bits per pixel. If the anchor's points do not cover this interval, its outermost points limit the range.
///
/// # Errors
/// The errors of [`bd_rate`], and [`QualityError::InvalidRateInterval`] when the two rates are not finite, positive
/// and rising.
pub fn bd_rate_within(
    anchor: &[RatePoint],
    test: &[RatePoint],
    low_bpp: f64,
    high_bpp: f64,
) -> Result<BdRate, QualityError> {
    if !(low_bpp > 0.0 && low_bpp < high_bpp && high_bpp.is_finite()) {
        return Err(QualityError::InvalidRateInterval { low: low_bpp, high: high_bpp });
    }
    let (anchor, test) = (log_rate_curve("anchor", anchor)?, log_rate_curve("test", test)?);
    let qualities = anchor.solve_for(low_bpp.log10())..anchor.solve_for(high_bpp.log10());
    compare_curves(&anchor, &test, qualities)
}

fn compare_curves(anchor: &Pchip, test: &Pchip, qualities: Range<f64>) -> Result<BdRate, QualityError> {
    let (low, high) = (qualities.start.max(test.min_x()), qualities.end.min(test.max_x()));
    if low >= high {
        return Err(QualityError::NoOverlap {
            anchor: [qualities.start, qualities.end],
            test: [test.min_x(), test.max_x()],
        });
    }
    let distance = (test.integrate(low, high) - anchor.integrate(low, high)) / (high - low);
    Ok(BdRate { percent: (10_f64.powf(distance) - 1.0) * 100.0, low, high })
}

/// Returns the logarithm of the rate as a curve over quality.
fn log_rate_curve(curve: &'static str, points: &[RatePoint]) -> Result<Pchip, QualityError> {
    let invalid =
        points.iter().find(|point| !(point.bpp > 0.0 && point.bpp.is_finite() && point.quality.is_finite()));
    if let Some(&RatePoint { bpp, quality }) = invalid {
        return Err(QualityError::InvalidRatePoint { curve, bpp, quality });
    }
    let rising = undominated_points(points);
    if rising.len() < MIN_POINTS {
        let (given, left) = (points.len(), rising.len());
        return Err(QualityError::TooFewPoints { curve, given, left, min: MIN_POINTS });
    }
    Ok(Pchip::new(rising.iter().map(|point| (point.quality, point.bpp.log10()))))
}

/// Returns the points that no other point dominates, in ascending order of rate and quality.
fn undominated_points(points: &[RatePoint]) -> Vec<RatePoint> {
    let mut sorted = points.to_vec();
    // At the same rate the best point comes first, because it dominates the others.
    sorted.sort_by(|a, b| a.bpp.total_cmp(&b.bpp).then(b.quality.total_cmp(&a.quality)));
    let mut best = f64::NEG_INFINITY;
    sorted.retain(|point| {
        let is_better = point.quality > best;
        best = best.max(point.quality);
        is_better
    });
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    // Means over the 24 images of Kodak, taken from CompressAI's result files: bits per pixel, dB.
    const JPEG: [(f64, f64); 19] = [
        (0.2212, 23.780),
        (0.3266, 26.577),
        (0.4231, 28.042),
        (0.5084, 29.042),
        (0.5879, 29.785),
        (0.6601, 30.378),
        (0.7289, 30.903),
        (0.7860, 31.308),
        (0.8497, 31.705),
        (0.9060, 32.059),
        (0.9644, 32.399),
        (1.0372, 32.790),
        (1.1274, 33.235),
        (1.2398, 33.793),
        (1.3688, 34.394),
        (1.5718, 35.239),
        (1.8588, 36.329),
        (2.3502, 37.912),
        (3.4013, 40.557),
    ];
    const WEBP: [(f64, f64); 19] = [
        (0.2344, 28.328),
        (0.2963, 29.151),
        (0.3529, 29.821),
        (0.4070, 30.407),
        (0.4608, 30.939),
        (0.5127, 31.443),
        (0.5674, 31.936),
        (0.6207, 32.425),
        (0.6747, 32.883),
        (0.7218, 33.238),
        (0.7709, 33.607),
        (0.8237, 33.972),
        (0.8740, 34.328),
        (0.9343, 34.693),
        (0.9984, 35.104),
        (1.2163, 36.369),
        (1.5201, 37.778),
        (2.0104, 39.557),
        (2.9285, 41.759),
    ];
    const BPG: [(f64, f64); 8] = [
        (0.0678, 26.195),
        (0.1610, 28.682),
        (0.3516, 31.595),
        (0.6847, 34.857),
        (1.1997, 38.260),
        (1.9297, 41.479),
        (3.0579, 44.703),
        (4.7031, 47.633),
    ];
    const FACTORIZED: [(f64, f64); 8] = [
        (0.1226, 26.909),
        (0.1885, 28.218),
        (0.2878, 29.617),
        (0.4404, 31.277),
        (0.6481, 32.956),
        (0.9670, 35.381),
        (1.3512, 37.397),
        (1.8333, 39.621),
    ];
    const MEAN: [(f64, f64); 8] = [
        (0.1239, 27.699),
        (0.1980, 29.359),
        (0.3072, 31.129),
        (0.4606, 32.951),
        (0.6617, 34.968),
        (0.9144, 36.911),
        (1.2342, 38.838),
        (1.6191, 40.633),
    ];

    fn points(pairs: &[(f64, f64)]) -> Vec<RatePoint> {
        pairs.iter().map(|&(bpp, quality)| RatePoint { bpp, quality }).collect()
    }

    fn assert_is(found: BdRate, percent: f64, low: f64, high: f64) {
        let deviation =
            (found.percent - percent).abs().max((found.low - low).abs()).max((found.high - high).abs());
        assert!(deviation < 1e-6, "{found:?} instead of {percent} from {low} to {high}");
    }

    #[test]
    fn values_agree_with_the_bjontegaard_package() {
        // bjontegaard 1.3.0, method "pchip".
        for (anchor, test, percent, low, high) in [
            (&JPEG[..], &WEBP[..], -36.175_560_855, 28.328, 40.557),
            (&JPEG, &BPG, -58.854_376_311, 26.195, 40.557),
            (&JPEG, &FACTORIZED, -44.519_779_219, 26.909, 39.621),
            (&JPEG, &MEAN, -57.957_451_291, 27.699, 40.557),
            (&WEBP, &BPG, -30.643_310_492, 28.328, 41.759),
            (&WEBP, &FACTORIZED, -8.751_243_478, 28.328, 39.621),
            (&WEBP, &MEAN, -33.225_126_169, 28.328, 40.633),
        ] {
            assert_is(bd_rate(&points(anchor), &points(test)).unwrap(), percent, low, high);
        }
    }

    #[test]
    fn an_interval_of_the_anchors_rates_restricts_the_qualities() {
        // scipy 1.17.1: PchipInterpolator, its integrals, and its root at the two rates.
        for (anchor, test, rates, percent, low, high) in [
            (&JPEG[..], &WEBP[..], (0.4, 1.0), -39.552_110_543, 28.328, 32.594_246_228),
            (&WEBP, &MEAN, (0.3, 0.9), -34.610_972_580, 29.196_786_434, 34.488_332_409),
            (&JPEG, &BPG, (0.25, 2.0), -61.239_190_516, 26.195, 36.815_650_786),
            (&JPEG, &FACTORIZED, (0.01, 100.0), -44.519_779_219, 26.909, 39.621),
        ] {
            let found = bd_rate_within(&points(anchor), &points(test), rates.0, rates.1).unwrap();
            assert_is(found, percent, low, high);
        }
    }

    #[test]
    fn twice_the_rate_is_a_hundred_percent_and_the_same_rate_is_zero() {
        let anchor = points(&JPEG);
        assert_is(bd_rate(&anchor, &anchor).unwrap(), 0.0, 23.78, 40.557);
        let doubled: Vec<_> =
            anchor.iter().map(|&RatePoint { bpp, quality }| RatePoint { bpp: 2.0 * bpp, quality }).collect();
        assert_is(bd_rate(&anchor, &doubled).unwrap(), 100.0, 23.78, 40.557);
        assert_is(bd_rate(&doubled, &anchor).unwrap(), -50.0, 23.78, 40.557);
    }

    #[test]
    fn order_and_dominated_points_change_nothing() {
        let (anchor, mut test) = (points(&JPEG), points(&BPG));
        let expected = bd_rate(&anchor, &test).unwrap();
        test.reverse();
        // Lower quality for more bits, equal quality for more bits, and lower quality for equal bits.
        test.extend(points(&[(0.7, 34.0), (1.3, 38.260), (0.3516, 31.0)]));
        assert_eq!(bd_rate(&anchor, &test).unwrap(), expected);
    }

    #[test]
    fn too_few_rising_points_are_counted() {
        let (anchor, too_few) =
            (points(&JPEG), points(&[(1.0, 30.0), (2.0, 31.0), (3.0, 31.0), (4.0, 33.0)]));
        let expected = QualityError::TooFewPoints { curve: "test", given: 4, left: 3, min: 4 };
        assert_eq!(bd_rate(&anchor, &too_few), Err(expected));
        let expected = QualityError::TooFewPoints { curve: "anchor", given: 0, left: 0, min: 4 };
        assert_eq!(bd_rate(&[], &anchor), Err(expected));
    }

    #[test]
    fn curves_without_common_qualities_are_not_compared() {
        let above = points(&[(1.0, 50.0), (2.0, 51.0), (3.0, 52.0), (4.0, 53.0)]);
        let error = bd_rate(&points(&JPEG), &above).unwrap_err().to_string();
        assert!(error.contains("23.78 to 40.557") && error.contains("50 to 53"), "{error}");
        let error = bd_rate_within(&points(&JPEG), &points(&WEBP), 0.01, 0.1).unwrap_err();
        assert!(matches!(error, QualityError::NoOverlap { .. }), "{error}");
    }

    #[test]
    fn numbers_that_are_no_rates_are_refused() {
        for invalid in [(0.0, 30.0), (-1.0, 30.0), (f64::NAN, 30.0), (1.0, f64::INFINITY)] {
            let error = bd_rate(&points(&JPEG), &points(&[invalid])).unwrap_err();
            assert!(matches!(error, QualityError::InvalidRatePoint { curve: "test", .. }), "{error}");
        }
        for (low, high) in [(0.0, 1.0), (2.0, 1.0), (1.0, 1.0), (1.0, f64::INFINITY), (f64::NAN, 1.0)] {
            let error = bd_rate_within(&points(&JPEG), &points(&BPG), low, high).unwrap_err();
            assert!(matches!(error, QualityError::InvalidRateInterval { .. }), "{error}");
        }
    }
}
