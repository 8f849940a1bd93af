use std::ops::RangeInclusive;

use image::{DynamicImage, ImageFormat};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use super::{CodecPoint, check_quality, search::Search};
use crate::{ImageShape, QualityError, image_view::ImageView, psnr};

const CODEC: &str = "JPEG";
pub(super) const QUALITIES: RangeInclusive<u8> = 1..=100;

// Markers defined by ITU-T T.81, table B.1.
const DEFINE_QUANTISER: u8 = 0xdb;
const START_OF_SCAN: u8 = 0xda;

/// The result of JPEG at one quality, 1 to 100.
pub type JpegPoint = CodecPoint;

/// Encodes an image as a baseline JPEG file (ITU-T T.81). It uses the sample quantiser tables of annex K,
/// scaled to `quality` (1 to 100) as in libjpeg, and Huffman tables optimised for the image. RGB is stored as
/// `YCbCr` with 4:2:0 sampling at every quality; each chroma sample is the mean of four.
///
/// The sizes of grey files are within 1 % of libjpeg's with optimised tables. RGB files have one scan per
/// channel, which takes 10 to 20 bytes more than libjpeg's shared scan. The decoder of the image crate
/// misreads such files; [`jpeg_point`] measures their PSNR.
///
/// # Errors
/// Returns [`QualityError::InvalidSetting`] for a quality outside 1 to 100, [`QualityError::SideTooLong`] for a side of
/// more than 65,535 pixels, [`QualityError::UnsupportedColour`] or [`QualityError::EmptyImage`] for an image that is not
/// supported, [`QualityError::CodecFailed`] if the encoder fails.
pub fn jpeg_encode(image: &DynamicImage, quality: u8) -> Result<Vec<u8>, QualityError> {
    encode(&ImageView::new(image)?, quality, HuffmanTables::Optimised)
}

/// Returns the size of the file that [`jpeg_encode`] creates, and its PSNR.
///
/// # Errors
/// Returns the errors of [`jpeg_encode`].
pub fn jpeg_point(image: &DynamicImage, quality: u8) -> Result<JpegPoint, QualityError> {
    let jpeg = jpeg_encode(image, quality)?;
    let bytes = jpeg.len();
    Ok(JpegPoint { quality, bytes, psnr: psnr(image, &decoded(image, quality, jpeg)?)? })
}

/// Decodes a file that [`jpeg_encode`] created from `image` at this quality.
pub(super) fn decoded(
    image: &DynamicImage,
    quality: u8,
    jpeg: Vec<u8>,
) -> Result<DynamicImage, QualityError> {
    let view = ImageView::new(image)?;
    // Huffman coding is lossless: the file with the sample tables contains the same image, but in one shared
    // scan, which zune-jpeg 0.5.15 can decode. It cannot decode one scan per channel (issue 422 of
    // zune-jpeg).
    let decodable =
        if view.shape.channels == 1 { jpeg } else { encode(&view, quality, HuffmanTables::Sample)? };
    image::load_from_memory_with_format(&decodable, ImageFormat::Jpeg)
        .map_err(|error| failed("decode", &error))
}

/// Returns JPEG at the lowest quality whose decoded image has a PSNR of at least `target_db`. The result is
/// quality 1, the smallest JPEG file, if that already reaches the target, and quality 100 if none does, so
/// check the PSNR of the result.
///
/// PSNR does not always grow with quality. Up to 256×256 pixels, every quality is tried from 1 upwards. For
/// larger images a bisection is followed by a scan of the five qualities below its result, which misses an
/// isolated peak further down.
///
/// # Errors
/// Returns [`QualityError::InvalidTarget`] if the target is NaN, or the errors of [`jpeg_encode`].
pub fn jpeg_at_psnr(image: &DynamicImage, target_db: f64) -> Result<JpegPoint, QualityError> {
    let shape = ImageView::new(image)?.shape;
    Search { qualities: QUALITIES, target_db, point: |quality| jpeg_point(image, quality) }.run(shape)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HuffmanTables {
    /// Optimised for the image.
    Optimised,
    /// The sample tables of T.81, annex K.
    Sample,
}

fn encode(view: &ImageView<'_>, quality: u8, tables: HuffmanTables) -> Result<Vec<u8>, QualityError> {
    check_quality(CODEC, &QUALITIES, quality)?;
    view.check_sides(CODEC, u32::from(u16::MAX))?;
    let ImageShape { width, height, channels } = view.shape;
    let colour = if channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, quality);
    encoder.set_optimized_huffman_tables(tables == HuffmanTables::Optimised);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder
        .encode(view.samples, width as u16, height as u16, colour)
        .map_err(|error| failed("encode", &error))?;
    if channels == 1 {
        drop_chroma_quantiser(&mut jpeg);
    }
    Ok(jpeg)
}

fn failed(action: &'static str, error: &dyn std::error::Error) -> QualityError {
    QualityError::CodecFailed { codec: CODEC, action, reason: error.to_string() }
}

/// Removes quantiser table 1 from a grey file. The encoder writes it, although grey files do not use it;
/// libjpeg does not write it. Its 69 bytes would be a fifth of the file of a small image.
fn drop_chroma_quantiser(jpeg: &mut Vec<u8>) {
    let mut start = 2;
    while let Some(&[0xff, marker, high, low, first]) = jpeg.get(start..).and_then(<[u8]>::first_chunk) {
        let end = start + 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == START_OF_SCAN {
            return;
        }
        if marker == DEFINE_QUANTISER && first == 1 {
            jpeg.drain(start..end.min(jpeg.len()));
            return;
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use image::{GrayImage, Luma};

    #[test]
    fn the_file_grows_with_quality() {
        for image in [samples::natural_grey(64, 48), samples::natural_rgb(64, 48)] {
            let sizes = [5, 25, 50, 75, 95].map(|quality| jpeg_encode(&image, quality).unwrap().len());
            assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
            assert!(jpeg_point(&image, 95).unwrap().psnr > jpeg_point(&image, 25).unwrap().psnr);
        }
    }

    #[test]
    fn images_survive_the_highest_quality() {
        for (width, height) in [(64, 48), (67, 41), (16, 17), (9, 9)] {
            let grey = jpeg_point(&samples::natural_grey(width, height), 100).unwrap();
            assert!(grey.psnr > 50.0, "{width}×{height} grey: {} dB", grey.psnr);
            let rgb = jpeg_point(&samples::natural_rgb(width, height), 100).unwrap();
            assert!(rgb.psnr > 40.0, "{width}×{height} RGB: {} dB", rgb.psnr);
        }
    }

    #[test]
    fn the_found_quality_is_the_lowest_that_reaches_the_target() {
        for image in
            [samples::natural_grey(28, 28), samples::natural_rgb(33, 31), samples::natural_grey(300, 260)]
        {
            for target in [24.0, 27.5, 31.0] {
                let found = jpeg_at_psnr(&image, target).unwrap();
                assert!(found.psnr >= target, "{found:?} for {target} dB");
                assert_eq!(found.bytes, jpeg_encode(&image, found.quality).unwrap().len());
                if found.quality > 1 {
                    let below = jpeg_point(&image, found.quality - 1).unwrap();
                    assert!(below.psnr < target, "{below:?} for {target} dB");
                }
            }
        }
    }

    #[test]
    fn extreme_targets_give_the_ends_of_the_scale() {
        let image = samples::natural_grey(28, 28);
        assert_eq!(jpeg_at_psnr(&image, 1.0).unwrap().quality, 1);
        let best = jpeg_at_psnr(&image, 200.0).unwrap();
        assert!(best.quality == 100 && best.psnr < 200.0, "{best:?}");
        assert_eq!(jpeg_at_psnr(&image, f64::NAN), Err(QualityError::InvalidTarget));
    }

    #[test]
    fn a_grey_file_has_one_quantiser_table() {
        // 67×65499 puts the bytes ff db 00 43 01 into the frame header, where they do not start a segment.
        for (width, height) in [(28, 28), (67, 65_499)] {
            let image = GrayImage::from_fn(width, height, |x, y| Luma([(x + y) as u8]));
            let jpeg = jpeg_encode(&DynamicImage::ImageLuma8(image), 50).unwrap();
            let tables = jpeg.windows(4).filter(|bytes| bytes == &[0xff, DEFINE_QUANTISER, 0, 67]).count();
            let in_header = usize::from(height == 65_499);
            assert_eq!(tables, 1 + in_header);
            assert_eq!(&jpeg[2..4], [0xff, 0xe0]);
        }
    }

    #[test]
    fn tiny_and_flat_images_survive_a_round_trip() {
        for level in [0, 128, 255] {
            let image = DynamicImage::ImageLuma8(GrayImage::from_pixel(1, 1, Luma([level])));
            assert!(jpeg_point(&image, 100).unwrap().psnr > 45.0);
            let image = DynamicImage::ImageLuma8(GrayImage::from_pixel(40, 9, Luma([level])));
            assert!(jpeg_point(&image, 100).unwrap().psnr > 45.0);
        }
    }

    #[test]
    fn wrong_settings_and_sides_are_named() {
        let image = samples::natural_grey(8, 8);
        for quality in [0, 101] {
            let error = jpeg_encode(&image, quality).unwrap_err();
            assert!(
                matches!(error, QualityError::InvalidSetting { found, min: 1, max: 100, .. } if found == quality)
            );
        }
        let error = jpeg_encode(&DynamicImage::new_luma8(65_536, 1), 50).unwrap_err();
        assert!(
            error.to_string().contains("65535 pixels per side, but the image is 65536×1 grey"),
            "{error}"
        );
    }
}
