//! Baseline JPEG with the code of libjpeg-turbo, as contained in mozjpeg.
//!
//! mozjpeg is a fork of libjpeg-turbo that can write the same files as libjpeg-turbo. It is used here because
//! it only needs a C compiler. Its SIMD code for x86 is used if NASM is installed at build time, which
//! changes the time but not a single byte.

use std::{
    io,
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
};

use image::{DynamicImage, GrayImage, RgbImage};
use mozjpeg::{
    ColorSpace, Compress, Decompress,
    qtable::{AnnexK_Chroma, AnnexK_Luma},
};

use super::{Baseline, ChromaSampling, check_quality};
use crate::{ImageShape, QualityError, image_view::ImageView};

const CODEC: &str = "JPEG";
const QUALITIES: RangeInclusive<u8> = 1..=100;
/// The lowest quality at which all steps of ITU-T T.81, Annex K, fit into the 8 bits of a baseline file.
/// Below it libjpeg-turbo limits them to 255; mozjpeg would write 16-bit tables, so the steps are set
/// explicitly. Such a step may differ by one from libjpeg-turbo's, which rounds the scale to whole per cents
/// first.
const BASELINE_QUALITY: u8 = 24;
/// The longest side that libjpeg accepts, in pixels.
const MAX_SIDE: u32 = 65_500;
/// The largest image that is decoded, in pixels.
const MAX_PIXELS: usize = 1 << 28;

/// Baseline JPEG (ITU-T T.81) by libjpeg-turbo, with Huffman tables optimised for the image, as written by
/// `cjpeg -optimize`, at the qualities 1 to 100. Use it to measure time; [`jpeg_encode`](crate::jpeg_encode)
/// does not need a C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TurboJpeg {
    /// The chroma sampling of RGB images.
    pub chroma: ChromaSampling,
}

impl Baseline for TurboJpeg {
    fn name(&self) -> String {
        format!("{CODEC} {}", self.chroma)
    }

    fn qualities(&self) -> RangeInclusive<u8> {
        QUALITIES
    }

    fn encode(&self, image: &DynamicImage, quality: u8) -> Result<Vec<u8>, QualityError> {
        check_quality(CODEC, &QUALITIES, quality)?;
        let view = ImageView::new(image)?;
        view.check_sides(CODEC, MAX_SIDE)?;
        guarded("encode", || self.compress(&view, quality).map_err(|error| failed("encode", &error)))
    }

    fn decode(&self, file: &[u8]) -> Result<DynamicImage, QualityError> {
        guarded("decode", || decode_file(file))
    }
}

impl TurboJpeg {
    fn compress(self, view: &ImageView<'_>, quality: u8) -> io::Result<Vec<u8>> {
        let ImageShape { width, height, channels } = view.shape;
        let colours = if channels == 1 { ColorSpace::JCS_GRAYSCALE } else { ColorSpace::JCS_RGB };
        let mut compressor = Compress::new(colours);
        // The defaults of libjpeg-turbo instead of mozjpeg's: no trellis quantisation, no progressive scans.
        compressor.set_fastest_defaults();
        compressor.set_size(width as usize, height as usize);
        compressor.set_quality(f32::from(quality));
        if quality < BASELINE_QUALITY {
            let quality = f32::from(quality);
            compressor.set_luma_qtable(&AnnexK_Luma.scaled(quality, quality));
            compressor.set_chroma_qtable(&AnnexK_Chroma.scaled(quality, quality));
        }
        compressor.set_optimize_coding(true);
        if channels != 1 {
            let side = if self.chroma == ChromaSampling::Quarter { 2 } else { 1 };
            compressor.set_chroma_sampling_pixel_sizes((side, side), (side, side));
        }
        let mut writer = compressor.start_compress(Vec::new())?;
        writer.write_scanlines(view.samples)?;
        writer.finish()
    }
}

fn decode_file(file: &[u8]) -> Result<DynamicImage, QualityError> {
    let decompressor = Decompress::new_mem(file).map_err(|error| failed("decode", &error))?;
    let (width, height) = decompressor.size();
    if width.saturating_mul(height) > MAX_PIXELS {
        let reason = format!("{width}×{height} exceeds the limit of {MAX_PIXELS} pixels");
        return Err(QualityError::CodecFailed { codec: CODEC, action: "decode", reason });
    }
    let is_grey = decompressor.color_space() == ColorSpace::JCS_GRAYSCALE;
    let mut reader = if is_grey { decompressor.grayscale() } else { decompressor.rgb() }
        .map_err(|error| failed("decode", &error))?;
    let samples: Vec<u8> = reader.read_scanlines().map_err(|error| failed("decode", &error))?;
    reader.finish().map_err(|error| failed("decode", &error))?;
    let (width, height) = (width as u32, height as u32);
    let image = if is_grey {
        GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)
    };
    image.ok_or_else(|| failed("decode", &"the file has too few samples"))
}

/// Runs a call into libjpeg, which reports errors by unwinding with a message.
fn guarded<T>(
    action: &'static str,
    call: impl FnOnce() -> Result<T, QualityError>,
) -> Result<T, QualityError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let reason = payload.downcast_ref::<String>().map_or("libjpeg failed", String::as_str);
        Err(failed(action, &reason))
    })
}

fn failed(action: &'static str, reason: &dyn std::fmt::Display) -> QualityError {
    QualityError::CodecFailed { codec: CODEC, action, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{baseline_point, jpeg_point, samples};

    #[test]
    fn grey_and_colour_images_survive_a_round_trip() {
        for chroma in [ChromaSampling::Quarter, ChromaSampling::Full] {
            let baseline = TurboJpeg { chroma };
            for image in [samples::natural_grey(61, 47), samples::natural_rgb(61, 47)] {
                let decoded = baseline.decode(&baseline.encode(&image, 90).unwrap()).unwrap();
                assert_eq!((decoded.color(), decoded.width()), (image.color(), image.width()));
                assert!(baseline_point(&baseline, &image, 90).unwrap().psnr > 30.0);
            }
        }
    }

    #[test]
    fn it_agrees_with_the_encoder_in_rust() {
        for image in [samples::natural_grey(160, 120), samples::natural_rgb(160, 120)] {
            for quality in [20, 50, 80] {
                let turbo = baseline_point(&TurboJpeg::default(), &image, quality).unwrap();
                let rust = jpeg_point(&image, quality).unwrap();
                let ratio = turbo.bytes as f64 / rust.bytes as f64;
                assert!((0.97..1.02).contains(&ratio), "{turbo:?} {rust:?}");
                assert!((turbo.psnr - rust.psnr).abs() < 0.5, "{turbo:?} {rust:?}");
            }
        }
    }

    #[test]
    fn full_chroma_costs_more_bytes_and_improves_the_psnr() {
        let image = samples::natural_rgb(96, 64);
        let quarter = baseline_point(&TurboJpeg::default(), &image, 90).unwrap();
        let full = baseline_point(&TurboJpeg { chroma: ChromaSampling::Full }, &image, 90).unwrap();
        assert!(full.bytes > quarter.bytes && full.psnr > quarter.psnr, "{full:?} {quarter:?}");
        let grey = samples::natural_grey(96, 64);
        let file = |chroma| TurboJpeg { chroma }.encode(&grey, 50).unwrap();
        assert_eq!(file(ChromaSampling::Full), file(ChromaSampling::Quarter));
    }

    #[test]
    fn wrong_settings_sides_and_bytes_are_named() {
        let baseline = TurboJpeg::default();
        assert_eq!(baseline.name(), "JPEG 4:2:0");
        let error = baseline.encode(&samples::natural_grey(8, 8), 0).unwrap_err();
        assert!(matches!(error, QualityError::InvalidSetting { found: 0, min: 1, max: 100, .. }));
        let error = baseline.encode(&DynamicImage::new_luma8(65_501, 1), 50).unwrap_err();
        assert!(matches!(error, QualityError::SideTooLong { limit: 65_500, .. }));
        let mut file = baseline.encode(&samples::natural_grey(64, 64), 50).unwrap();
        for damaged in [&file[..0], b"RIFF", &file[..20]] {
            assert!(matches!(
                baseline.decode(damaged),
                Err(QualityError::CodecFailed { action: "decode", .. })
            ));
        }
        // Overwrites the height and width in the frame header.
        let frame = file.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
        file[frame + 5..frame + 9].fill(0xf0);
        let error = baseline.decode(&file).unwrap_err().to_string();
        assert!(error.contains("61680×61680 exceeds the limit"), "{error}");
    }
}
