//! BD-rates of every codec against every other one.

use lopside_quality::{BdRate, QualityError, RatePoint, RdCurve, bd_rate_within};
use serde::Serialize;

use crate::TrainingError;

/// Bit rates of the anchor between which curves are compared, in bits per pixel.
const BPP_RANGE: (f64, f64) = (0.1, 0.8);

/// BD-rates of a codec against an anchor, in percent; negative means fewer bits.
#[derive(Debug, Clone, Serialize)]
pub struct BdRateComparison {
    /// The codec that is measured.
    pub codec: String,
    /// The codec that it is compared with.
    pub anchor: String,
    /// Mean over the images of the BD-rate by PSNR.
    pub psnr_percent: f64,
    /// BD-rate by PSNR of each image, with the lower and upper end of the compared range in dB.
    pub psnr_by_picture: Vec<(f64, f64, f64)>,
    /// Mean over the images of the BD-rate by MS-SSIM in dB.
    pub ms_ssim_percent: f64,
    /// BD-rate by MS-SSIM of each image, with the lower and upper end of the compared range in dB.
    pub ms_ssim_by_picture: Vec<(f64, f64, f64)>,
}

/// Compares every codec with every baseline. `curves` has one list per codec with one curve per image; the
/// first codec is Lopside, which is not an anchor.
pub(crate) fn compare_all(curves: &[Vec<RdCurve>]) -> Result<Vec<BdRateComparison>, TrainingError> {
    let mut comparisons = Vec::new();
    for anchor in &curves[1..] {
        for codec in curves {
            if codec[0].codec != anchor[0].codec {
                comparisons.push(compare_codecs(codec, anchor)?);
            }
        }
    }
    Ok(comparisons)
}

fn compare_codecs(codec: &[RdCurve], anchor: &[RdCurve]) -> Result<BdRateComparison, TrainingError> {
    let psnr = compare_images(codec, anchor, RdCurve::psnr_points)?;
    let ms_ssim = compare_images(codec, anchor, RdCurve::ms_ssim_points)?;
    Ok(BdRateComparison {
        codec: codec[0].codec.clone(),
        anchor: anchor[0].codec.clone(),
        psnr_percent: mean_of(&psnr, |value| value.0),
        psnr_by_picture: psnr,
        ms_ssim_percent: mean_of(&ms_ssim, |value| value.0),
        ms_ssim_by_picture: ms_ssim,
    })
}

/// Returns the BD-rate of each image, with the lower and upper end of the compared range.
fn compare_images(
    codec: &[RdCurve],
    anchor: &[RdCurve],
    points: fn(&RdCurve) -> Vec<RatePoint>,
) -> Result<Vec<(f64, f64, f64)>, QualityError> {
    anchor
        .iter()
        .zip(codec)
        .map(|(anchor, codec)| {
            let BdRate { percent, low, high } =
                bd_rate_within(&points(anchor), &points(codec), BPP_RANGE.0, BPP_RANGE.1)?;
            Ok((percent, low, high))
        })
        .collect()
}

/// Returns the mean of `value` over the values.
pub(crate) fn mean_of<T>(values: &[T], value: impl Fn(&T) -> f64) -> f64 {
    values.iter().map(value).sum::<f64>() / values.len() as f64
}
