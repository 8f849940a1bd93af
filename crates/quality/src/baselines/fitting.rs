//! The best file of a codec within a number of bytes, with which codecs are compared side by side.

use std::ops::RangeInclusive;

use image::DynamicImage;

use super::{Baseline, CodecPoint, in_colours_of, jpeg};
use crate::{QualityError, psnr};

/// The result of encoding an image within a number of bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitting {
    /// The quality setting, the size of the file and its PSNR.
    pub point: CodecPoint,
    /// The decoded image; grey if the original is grey.
    pub picture: DynamicImage,
}

impl Fitting {
    fn new(
        image: &DynamicImage,
        quality: u8,
        bytes: usize,
        decoded: DynamicImage,
    ) -> Result<Self, QualityError> {
        let picture = in_colours_of(image, decoded);
        let point = CodecPoint { quality, bytes, psnr: psnr(image, &picture)? };
        Ok(Self { point, picture })
    }
}

/// Returns the file with the highest quality that has at most `bytes` bytes. If even the lowest quality
/// exceeds them, returns that file, so check its size.
///
/// The quality is found by bisection, because files grow with quality. If a file is smaller than that of a
/// lower quality, the result is a file that fits while the next higher quality does not.
///
/// # Errors
/// Returns the errors of [`Baseline::encode`] and [`Baseline::decode`].
pub fn fitting(baseline: &dyn Baseline, image: &DynamicImage, bytes: usize) -> Result<Fitting, QualityError> {
    let (quality, file) = finest(baseline.qualities(), bytes, |quality| baseline.encode(image, quality))?;
    Fitting::new(image, quality, file.len(), baseline.decode(&file)?)
}

/// Does the same as [`fitting`] with [`jpeg_encode`](crate::jpeg_encode), which does not need a C library.
///
/// # Errors
/// Returns the errors of [`jpeg_encode`](crate::jpeg_encode).
pub fn jpeg_fitting(image: &DynamicImage, bytes: usize) -> Result<Fitting, QualityError> {
    let (quality, file) = finest(jpeg::QUALITIES, bytes, |quality| jpeg::jpeg_encode(image, quality))?;
    let size = file.len();
    Fitting::new(image, quality, size, jpeg::decoded(image, quality, file)?)
}

/// Returns the highest quality whose file has at most `bytes` bytes, and that file; the lowest quality if all
/// files are larger.
fn finest<F>(qualities: RangeInclusive<u8>, bytes: usize, encode: F) -> Result<(u8, Vec<u8>), QualityError>
where
    F: Fn(u8) -> Result<Vec<u8>, QualityError>,
{
    let (mut low, mut high) = qualities.into_inner();
    let mut best = encode(low)?;
    if best.len() > bytes {
        return Ok((low, best));
    }
    while low < high {
        let middle = high - (high - low) / 2;
        let file = encode(middle)?;
        if file.len() <= bytes {
            (low, best) = (middle, file);
        } else {
            high = middle - 1;
        }
    }
    Ok((low, best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jpeg_encode, jpeg_point, samples};

    #[test]
    fn every_budget_is_used_up() {
        let size = |quality: u8| 10 * usize::from(quality);
        for bytes in 0..1100 {
            let (quality, file) = finest(1..=100, bytes, |quality| Ok(vec![0; size(quality)])).unwrap();
            assert_eq!((usize::from(quality), file.len()), ((bytes / 10).clamp(1, 100), size(quality)));
        }
        assert_eq!(finest(0..=255, usize::MAX, |_| Ok(Vec::new())).unwrap().0, 255);
        assert_eq!(finest(7..=7, 0, |_| Ok(vec![1])).unwrap(), (7, vec![1]));
    }

    #[test]
    fn a_few_encodings_are_enough() {
        let encodings = std::cell::Cell::new(0);
        let encode = |quality| {
            encodings.set(encodings.get() + 1);
            Ok(vec![0; usize::from(quality)])
        };
        assert_eq!(finest(1..=100, 37, encode).unwrap().0, 37);
        assert!(encodings.get() <= 8, "{} encodings", encodings.get());
    }

    #[test]
    fn the_jpeg_fits_and_the_next_one_does_not() {
        for image in [samples::natural_grey(120, 90), samples::natural_rgb(120, 90)] {
            for bytes in [1500, 2500, 4000] {
                let Fitting { point, picture } = jpeg_fitting(&image, bytes).unwrap();
                assert!(point.bytes <= bytes, "{point:?}");
                assert!(jpeg_encode(&image, point.quality + 1).unwrap().len() > bytes, "{point:?}");
                assert_eq!(point, jpeg_point(&image, point.quality).unwrap());
                assert_eq!(picture.color(), image.color());
            }
        }
        let smallest = jpeg_fitting(&samples::natural_grey(40, 30), 10).unwrap();
        assert!(smallest.point.quality == 1 && smallest.point.bytes > 10, "{:?}", smallest.point);
    }

    #[cfg(feature = "webp")]
    #[test]
    fn a_baseline_fits_in_the_colours_of_the_original() {
        let baseline = crate::Webp::default();
        for image in [samples::natural_grey(120, 90), samples::natural_rgb(120, 90)] {
            let Fitting { point, picture } = fitting(&baseline, &image, 2500).unwrap();
            assert!(point.bytes <= 2500 && point.psnr > 25.0, "{point:?}");
            assert!(baseline.encode(&image, point.quality + 1).unwrap().len() > 2500, "{point:?}");
            assert_eq!(picture.color(), image.color());
        }
    }
}
