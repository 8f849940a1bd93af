//! Search for the lowest quality setting that reaches a target, for codecs whose PSNR does not always grow
//! with quality.

use std::ops::RangeInclusive;

use super::CodecPoint;
use crate::{ImageShape, QualityError};

/// Number of pixels up to which every setting is tried, in ascending order.
const SCAN_PIXELS: u64 = 256 * 256;
/// Number of qualities below the result of the bisection that are scanned for larger images.
const WINDOW: u8 = 5;

/// The search with one lossy codec for one image.
pub(super) struct Search<F> {
    pub(super) qualities: RangeInclusive<u8>,
    pub(super) target_db: f64,
    /// Encodes, decodes and measures at one quality.
    pub(super) point: F,
}

impl<F: Fn(u8) -> Result<CodecPoint, QualityError>> Search<F> {
    /// Returns the lowest quality that reaches the target, or the highest quality if none does.
    pub(super) fn run(&self, shape: ImageShape) -> Result<CodecPoint, QualityError> {
        if self.target_db.is_nan() {
            return Err(QualityError::InvalidTarget);
        }
        if shape.pixel_count() <= SCAN_PIXELS {
            return self.scan(self.qualities.clone());
        }
        let found = self.bisect()?;
        self.scan(found.saturating_sub(WINDOW).max(*self.qualities.start())..=found)
    }

    /// Returns the first quality of the range that reaches the target, or the last one if none does.
    fn scan(&self, range: RangeInclusive<u8>) -> Result<CodecPoint, QualityError> {
        let (first, last) = range.into_inner();
        for quality in first..last {
            let point = (self.point)(quality)?;
            if point.psnr >= self.target_db {
                return Ok(point);
            }
        }
        (self.point)(last)
    }

    /// Returns a quality that reaches the target while the one below it does not; an end of the range if
    /// there is no such quality.
    fn bisect(&self) -> Result<u8, QualityError> {
        let (mut low, mut high) = self.qualities.clone().into_inner();
        if self.reaches(low)? {
            return Ok(low);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.reaches(middle)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(high)
    }

    fn reaches(&self, quality: u8) -> Result<bool, QualityError> {
        Ok((self.point)(quality)?.psnr >= self.target_db)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const SMALL: ImageShape = ImageShape { width: 256, height: 256, channels: 1 };
    const LARGE: ImageShape = ImageShape { width: 256, height: 257, channels: 1 };

    /// Returns the result for a codec with this PSNR at every quality, and the number of encodings.
    fn search(shape: ImageShape, target_db: f64, psnr: impl Fn(u8) -> f64) -> (u8, u32) {
        let encodings = Cell::new(0);
        let point = |quality| {
            encodings.set(encodings.get() + 1);
            Ok(CodecPoint { quality, bytes: 0, psnr: psnr(quality) })
        };
        let found = Search { qualities: 1..=100, target_db, point }.run(shape).unwrap();
        (found.quality, encodings.get())
    }

    #[test]
    fn every_target_is_found_by_scan_and_by_bisection() {
        for target in 1..=100 {
            assert_eq!(search(SMALL, f64::from(target), f64::from).0, target);
            let (quality, encodings) = search(LARGE, f64::from(target), f64::from);
            assert_eq!(quality, target);
            assert!(encodings <= 14, "{encodings} encodings");
        }
    }

    #[test]
    fn the_ends_are_returned_when_all_or_none_reach_the_target() {
        for shape in [SMALL, LARGE] {
            assert_eq!(search(shape, -3.0, f64::from).0, 1);
            assert_eq!(search(shape, f64::INFINITY, f64::from).0, 100);
        }
    }

    #[test]
    fn a_dent_does_not_hide_a_lower_quality() {
        let dented = |quality: u8| if quality == 60 { 50.0 } else { f64::from(quality) };
        assert_eq!(search(SMALL, 59.0, dented).0, 59);
        assert_eq!(search(LARGE, 59.0, dented).0, 59);
        let peak = |quality: u8| if quality == 20 { 90.0 } else { f64::from(quality) };
        assert_eq!(search(SMALL, 80.0, peak).0, 20);
        let near = |quality: u8| if quality == 77 { 90.0 } else { f64::from(quality) };
        assert_eq!(search(LARGE, 80.0, near).0, 77);
    }

    #[test]
    fn a_target_of_nan_is_refused() {
        let point = |quality| Ok(CodecPoint { quality, bytes: 0, psnr: 0.0 });
        let search = Search { qualities: 1..=100, target_db: f64::NAN, point };
        assert_eq!(search.run(SMALL), Err(QualityError::InvalidTarget));
    }
}
