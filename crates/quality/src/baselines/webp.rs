use std::ops::RangeInclusive;

use image::{DynamicImage, RgbImage};
use webp::{Decoder, Encoder, WebPConfig};

use super::{Baseline, CodecPoint, baseline_point, check_quality, search::Search};
use crate::{QualityError, image_view::ImageView};

const CODEC: &str = "WebP";
const QUALITIES: RangeInclusive<u8> = 0..=100;
/// The longest side that a VP8 frame header can express (RFC 6386, section 9.1).
const MAX_SIDE: u32 = 16_383;
/// The method of libwebp that is slowest and makes the smallest files.
const MAX_METHOD: u8 = 6;

/// The result of WebP at one quality, 0 to 100.
pub type WebpPoint = CodecPoint;

/// Lossy WebP (RFC 9649) by libwebp on one thread, with default settings except for the method, at the
/// qualities 0 to 100. Grey images are expanded to RGB, because WebP does not support grey; the flat chroma
/// takes a few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Webp {
    method: u8,
}

impl Webp {
    /// Creates WebP with a method of libwebp: 0, the fastest, to 6, which makes the smallest files. The
    /// default of `cwebp` is 4.
    ///
    /// # Errors
    /// Returns [`QualityError::InvalidEffort`] for a method above 6.
    pub fn with_method(method: u8) -> Result<Self, QualityError> {
        if method > MAX_METHOD {
            return Err(QualityError::InvalidEffort {
                codec: CODEC,
                knob: "method",
                found: method,
                max: MAX_METHOD,
            });
        }
        Ok(Self { method })
    }
}

/// The default is method 6.
impl Default for Webp {
    fn default() -> Self {
        Self { method: MAX_METHOD }
    }
}

impl Baseline for Webp {
    fn name(&self) -> String {
        format!("{CODEC}, method {}", self.method)
    }

    fn qualities(&self) -> RangeInclusive<u8> {
        QUALITIES
    }

    fn encode(&self, image: &DynamicImage, quality: u8) -> Result<Vec<u8>, QualityError> {
        check_quality(CODEC, &QUALITIES, quality)?;
        ImageView::new(image)?.check_sides(CODEC, MAX_SIDE)?;
        let mut config =
            WebPConfig::new().map_err(|()| failed("encode", "libwebp has an incompatible version"))?;
        config.quality = f32::from(quality);
        config.method = i32::from(self.method);
        let rgb = image.to_rgb8();
        let encoded = Encoder::from_rgb(&rgb, rgb.width(), rgb.height()).encode_advanced(&config);
        encoded.map(|webp| webp.to_vec()).map_err(|error| failed("encode", &format!("{error:?}")))
    }

    fn decode(&self, file: &[u8]) -> Result<DynamicImage, QualityError> {
        let decoded = Decoder::new(file).decode().ok_or_else(|| failed("decode", "the file is damaged"))?;
        RgbImage::from_raw(decoded.width(), decoded.height(), decoded.to_vec())
            .map(DynamicImage::ImageRgb8)
            .ok_or_else(|| failed("decode", "the file has too few samples"))
    }
}

/// Encodes an image as a lossy WebP file with method 6 of [`Webp`].
///
/// # Errors
/// Returns [`QualityError::InvalidSetting`] for a quality outside 0 to 100, [`QualityError::SideTooLong`] for a side of
/// more than 16,383 pixels, [`QualityError::UnsupportedColour`] or [`QualityError::EmptyImage`] for an image that is not
/// supported, [`QualityError::CodecFailed`] if the encoder fails.
pub fn webp_encode(image: &DynamicImage, quality: u8) -> Result<Vec<u8>, QualityError> {
    Webp::default().encode(image, quality)
}

/// Returns the size and the PSNR of the file that [`webp_encode`] creates. A grey image is compared with the
/// luma of the decoded image.
///
/// # Errors
/// Returns the errors of [`webp_encode`].
pub fn webp_point(image: &DynamicImage, quality: u8) -> Result<WebpPoint, QualityError> {
    baseline_point(&Webp::default(), image, quality)
}

/// Returns WebP at the lowest quality whose decoded image has a PSNR of at least `target_db`; quality 0 if
/// all qualities reach it, quality 100 if none does. The search is that of
/// [`jpeg_at_psnr`](crate::jpeg_at_psnr).
///
/// # Errors
/// Returns [`QualityError::InvalidTarget`] if the target is NaN, or the errors of [`webp_encode`].
pub fn webp_at_psnr(image: &DynamicImage, target_db: f64) -> Result<WebpPoint, QualityError> {
    let shape = ImageView::new(image)?.shape;
    Search { qualities: QUALITIES, target_db, point: |quality| webp_point(image, quality) }.run(shape)
}

fn failed(action: &'static str, reason: &str) -> QualityError {
    QualityError::CodecFailed { codec: CODEC, action, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn images_survive_a_round_trip() {
        for image in [samples::natural_grey(61, 47), samples::natural_rgb(61, 47)] {
            let webp = webp_encode(&image, 90).unwrap();
            assert!(webp.starts_with(b"RIFF") && &webp[8..15] == b"WEBPVP8", "not a WebP file");
            assert_eq!(webp[15], b' ', "not a lossy WebP file");
            let decoded = Webp::default().decode(&webp).unwrap();
            assert_eq!((decoded.width(), decoded.height()), (61, 47));
            let point = webp_point(&image, 90).unwrap();
            assert!(point.bytes == webp.len() && point.psnr > 30.0, "{point:?}");
        }
    }

    #[test]
    fn the_file_grows_with_quality() {
        let image = samples::natural_grey(64, 48);
        let sizes = [0, 30, 60, 90, 100].map(|quality| webp_encode(&image, quality).unwrap().len());
        assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
    }

    #[test]
    fn the_found_quality_is_the_lowest_that_reaches_the_target() {
        let image = samples::natural_grey(28, 28);
        let found = webp_at_psnr(&image, 31.0).unwrap();
        assert!(found.psnr >= 31.0 && found.quality > 0, "{found:?}");
        assert!(webp_point(&image, found.quality - 1).unwrap().psnr < 31.0);
        assert_eq!(webp_at_psnr(&image, 1.0).unwrap().quality, 0);
        assert_eq!(webp_at_psnr(&image, f64::INFINITY).unwrap().quality, 100);
    }

    #[test]
    fn a_slower_method_makes_a_smaller_file() {
        let image = samples::natural_rgb(96, 64);
        let file = |method| Webp::with_method(method).unwrap().encode(&image, 60).unwrap();
        assert!(file(6).len() < file(0).len());
        assert_eq!(file(6), webp_encode(&image, 60).unwrap());
        let error = Webp::with_method(7).unwrap_err().to_string();
        assert!(error.contains("WebP method 7"), "{error}");
    }

    #[test]
    fn wrong_settings_sides_and_bytes_are_named() {
        let error = webp_encode(&samples::natural_grey(8, 8), 101).unwrap_err();
        assert!(matches!(error, QualityError::InvalidSetting { found: 101, min: 0, max: 100, .. }));
        let error = webp_encode(&DynamicImage::new_luma8(1, 16_384), 50).unwrap_err();
        assert!(matches!(error, QualityError::SideTooLong { limit: 16_383, .. }));
        assert!(matches!(
            Webp::default().decode(b"RIFF"),
            Err(QualityError::CodecFailed { action: "decode", .. })
        ));
    }
}
