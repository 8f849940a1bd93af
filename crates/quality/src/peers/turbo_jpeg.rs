use std::ops::RangeInclusive;

use image::{DynamicImage, GrayImage, RgbImage};
use turbojpeg::{Colorspace, Compressor, Decompressor, Image, OutputBuf, PixelFormat, Subsamp};

use super::{ChromaSampling, Peer, check_quality};
use crate::{PictureShape, QualityError, picture::Picture};

const CODEC: &str = "JPEG";
const QUALITIES: RangeInclusive<u8> = 1..=100;
/// The longest side that libjpeg takes, in pixels.
const MAX_SIDE: u32 = 65_500;
/// The largest picture that is decoded, in pixels.
const MAX_PIXELS: usize = 1 << 28;

/// Baseline JPEG (ITU-T T.81) by libjpeg-turbo, with Huffman tables made for the picture: what `cjpeg -optimize` writes.
/// Quality 1 to 100. This is the JPEG to measure time with; [`jpeg_encode`](crate::jpeg_encode) needs no C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TurboJpeg {
    /// How densely RGB pictures have chroma.
    pub chroma: ChromaSampling,
}

impl Peer for TurboJpeg {
    fn name(&self) -> String {
        format!("{CODEC} {}", self.chroma)
    }

    fn qualities(&self) -> RangeInclusive<u8> {
        QUALITIES
    }

    fn encode(&self, image: &DynamicImage, quality: u8) -> Result<Vec<u8>, QualityError> {
        check_quality(CODEC, &QUALITIES, quality)?;
        let picture = Picture::new(image)?;
        picture.check_sides(CODEC, MAX_SIDE)?;
        self.compress(&picture, quality).map_err(|error| failed("encode", &error))
    }

    fn decode(&self, file: &[u8]) -> Result<DynamicImage, QualityError> {
        let mut decompressor = Decompressor::new().map_err(|error| failed("decode", &error))?;
        let header = decompressor.read_header(file).map_err(|error| failed("decode", &error))?;
        let (width, height) = (header.width, header.height);
        if width.saturating_mul(height) > MAX_PIXELS {
            let reason = format!("{width}×{height} is more than {MAX_PIXELS} pixels");
            return Err(QualityError::Codec { codec: CODEC, action: "decode", reason });
        }
        let format = if header.colorspace == Colorspace::Gray { PixelFormat::GRAY } else { PixelFormat::RGB };
        let pitch = width * format.size();
        let mut samples = vec![0; pitch * height];
        let pixels = Image { pixels: samples.as_mut_slice(), width, pitch, height, format };
        decompressor.decompress(file, pixels).map_err(|error| failed("decode", &error))?;
        let (width, height) = (width as u32, height as u32);
        let image = if format == PixelFormat::GRAY {
            GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)
        } else {
            RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)
        };
        image.ok_or_else(|| failed("decode", &"it has too few samples"))
    }
}

impl TurboJpeg {
    fn compress(self, picture: &Picture<'_>, quality: u8) -> turbojpeg::Result<Vec<u8>> {
        let PictureShape { width, height, channels } = picture.shape;
        let (format, sampling) = match (channels, self.chroma) {
            (1, _) => (PixelFormat::GRAY, Subsamp::Gray),
            (_, ChromaSampling::Quarter) => (PixelFormat::RGB, Subsamp::Sub2x2),
            (_, ChromaSampling::Full) => (PixelFormat::RGB, Subsamp::None),
        };
        let mut compressor = Compressor::new()?;
        compressor.set_quality(i32::from(quality))?;
        compressor.set_subsamp(sampling)?;
        compressor.set_optimize(true)?;
        let (width, height) = (width as usize, height as usize);
        let pitch = width * format.size();
        let mut file = OutputBuf::new_owned();
        compressor.compress(Image { pixels: picture.samples, width, pitch, height, format }, &mut file)?;
        Ok(file.to_vec())
    }
}

fn failed(action: &'static str, reason: &dyn std::fmt::Display) -> QualityError {
    QualityError::Codec { codec: CODEC, action, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jpeg_point, peer_point, samples};

    #[test]
    fn pictures_of_both_kinds_come_back() {
        for chroma in [ChromaSampling::Quarter, ChromaSampling::Full] {
            let peer = TurboJpeg { chroma };
            for image in [samples::natural_grey(61, 47), samples::natural_rgb(61, 47)] {
                let decoded = peer.decode(&peer.encode(&image, 90).unwrap()).unwrap();
                assert_eq!((decoded.color(), decoded.width()), (image.color(), image.width()));
                assert!(peer_point(&peer, &image, 90).unwrap().psnr > 30.0);
            }
        }
    }

    #[test]
    fn it_agrees_with_the_encoder_in_rust() {
        for image in [samples::natural_grey(160, 120), samples::natural_rgb(160, 120)] {
            for quality in [20, 50, 80] {
                let turbo = peer_point(&TurboJpeg::default(), &image, quality).unwrap();
                let rust = jpeg_point(&image, quality).unwrap();
                let ratio = turbo.bytes as f64 / rust.bytes as f64;
                assert!((0.97..1.02).contains(&ratio), "{turbo:?} {rust:?}");
                assert!((turbo.psnr - rust.psnr).abs() < 0.5, "{turbo:?} {rust:?}");
            }
        }
    }

    #[test]
    fn full_chroma_costs_more_and_gives_more() {
        let image = samples::natural_rgb(96, 64);
        let quarter = peer_point(&TurboJpeg::default(), &image, 90).unwrap();
        let full = peer_point(&TurboJpeg { chroma: ChromaSampling::Full }, &image, 90).unwrap();
        assert!(full.bytes > quarter.bytes && full.psnr > quarter.psnr, "{full:?} {quarter:?}");
        let grey = samples::natural_grey(96, 64);
        let file = |chroma| TurboJpeg { chroma }.encode(&grey, 50).unwrap();
        assert_eq!(file(ChromaSampling::Full), file(ChromaSampling::Quarter));
    }

    #[test]
    fn wrong_settings_sides_and_bytes_are_named() {
        let peer = TurboJpeg::default();
        assert_eq!(peer.name(), "JPEG 4:2:0");
        let error = peer.encode(&samples::natural_grey(8, 8), 0).unwrap_err();
        assert!(matches!(error, QualityError::Setting { found: 0, min: 1, max: 100, .. }));
        let error = peer.encode(&DynamicImage::new_luma8(65_501, 1), 50).unwrap_err();
        assert!(matches!(error, QualityError::Side { limit: 65_500, .. }));
        let mut file = peer.encode(&samples::natural_grey(64, 64), 50).unwrap();
        for damaged in [&file[..0], b"RIFF", &file[..20]] {
            assert!(matches!(peer.decode(damaged), Err(QualityError::Codec { action: "decode", .. })));
        }
        // The frame header's height and width.
        let frame = file.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
        file[frame + 5..frame + 9].fill(0xf0);
        let error = peer.decode(&file).unwrap_err().to_string();
        assert!(error.contains("61680×61680 is more than"), "{error}");
    }
}
