//! Evaluates the head `upscale`: photographs are the ground truth, and the edge sees them at half the size.

use std::fmt;

use image::{DynamicImage, imageops::FilterType};
use lopside_bundle::image_codec::ImageCodecCost;
use lopside_latent::image_codec::Quality;
use lopside_quality::RdPoint;
use serde::Serialize;

use super::super::{bundle_codec::BundleCodec, compare::mean_of, illustration::SheetRow};
use crate::{TrainingError, photos};

/// Measured qualities, in order of increasing bit rate.
const QUALITIES: [u8; 4] = [20, 45, 70, 95];
/// Quality of the side-by-side image.
const SHOWN_QUALITY: u8 = 70;

/// The head's figures, as means over the images.
#[derive(Debug, Clone, Serialize)]
pub struct UpscalingReport {
    /// Names of the photographs.
    pub pictures: Vec<String>,
    /// The cost of the head, per pixel of the encoder's input.
    pub cost: ImageCodecCost,
    /// The figures of each quality.
    pub rows: Vec<UpscalingRow>,
    /// The halved photographs without coding, enlarged by cubic convolution (Catmull–Rom).
    pub uncompressed: Similarity,
    /// The photograph, the default head's image enlarged, and the image of the head.
    #[serde(skip)]
    pub(crate) shown: Vec<SheetRow>,
}

/// The figures of one quality.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpscalingRow {
    /// The quality, 1 to 100.
    pub quality: u8,
    /// Size of the whole frame, in bytes.
    pub bytes: f64,
    /// Bits per pixel of the halved photograph.
    pub bpp: f64,
    /// The head's image.
    pub upscaled: Similarity,
    /// The default head's image, enlarged by cubic convolution (Catmull–Rom).
    pub enlarged: Similarity,
}

/// Similarity of images to the photographs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Similarity {
    /// PSNR over RGB, in dB.
    pub psnr: f64,
    /// MS-SSIM, 0 to 1; `None` if a photograph is too small for it.
    pub ms_ssim: Option<f64>,
    /// The PSNR of each image.
    pub psnr_by_picture: Vec<f64>,
}

/// Measures the head on photographs; returns `None` if the bundle does not have it.
///
/// # Errors
/// [`TrainingError`] when an image cannot be coded or compared.
pub(crate) fn measure(
    codec: &mut BundleCodec,
    images: &[(String, DynamicImage)],
) -> Result<Option<UpscalingReport>, TrainingError> {
    let Some(cost) = codec.upscaler_cost else { return Ok(None) };
    let photos: Vec<HalvedPhoto<'_>> = images.iter().map(HalvedPhoto::new).collect();
    let (mut rows, mut shown) = (Vec::new(), Vec::new());
    for quality in QUALITIES.into_iter().filter_map(Quality::new) {
        let decoded_images =
            photos.iter().map(|photo| photo.decode_images(codec, quality)).collect::<Result<Vec<_>, _>>()?;
        rows.push(measure_quality(quality, &photos, &decoded_images)?);
        if quality.get() == SHOWN_QUALITY {
            shown =
                photos.iter().zip(decoded_images).map(|(photo, decoded)| photo.make_row(decoded)).collect();
        }
    }
    let enlarged: Vec<DynamicImage> = photos.iter().map(|photo| photo.enlarge_half(&photo.half)).collect();
    Ok(Some(UpscalingReport {
        pictures: images.iter().map(|(name, _)| name.clone()).collect(),
        cost,
        rows,
        uncompressed: mean_similarity(photos.iter().zip(enlarged))?,
        shown,
    }))
}

/// A photograph and the edge's view of it.
struct HalvedPhoto<'a> {
    name: &'a str,
    truth: DynamicImage,
    half: DynamicImage,
}

/// The images decoded from a frame.
struct DecodedImages {
    bytes: usize,
    upscaled: DynamicImage,
    enlarged: DynamicImage,
}

impl<'a> HalvedPhoto<'a> {
    /// Crops an odd last row or column, which is absent at half the size.
    fn new((name, image): &'a (String, DynamicImage)) -> Self {
        let truth = image.crop_imm(0, 0, image.width() & !1, image.height() & !1);
        Self { name, half: photos::halve_image(&truth), truth }
    }

    fn decode_images(
        &self,
        codec: &mut BundleCodec,
        quality: Quality,
    ) -> Result<DecodedImages, TrainingError> {
        let frame = codec.encode(&self.half, quality)?;
        let reconstructed = codec.decode(&frame)?;
        let enlarged = self.enlarge_half(&reconstructed);
        let upscaled = codec.upscale(&frame)?.unwrap_or_else(|| enlarged.clone());
        Ok(DecodedImages { bytes: frame.len(), upscaled, enlarged })
    }

    fn enlarge_half(&self, half: &DynamicImage) -> DynamicImage {
        half.resize_exact(self.truth.width(), self.truth.height(), FilterType::CatmullRom)
    }

    /// Returns the number of pixels at half the size.
    fn half_pixels(&self) -> f64 {
        f64::from(self.half.width()) * f64::from(self.half.height())
    }

    fn make_row(&self, decoded: DecodedImages) -> SheetRow {
        let DecodedImages { enlarged, upscaled, .. } = decoded;
        SheetRow { name: self.name.to_owned(), images: vec![self.truth.clone(), enlarged, upscaled] }
    }
}

fn measure_quality(
    quality: Quality,
    photos: &[HalvedPhoto<'_>],
    decoded_images: &[DecodedImages],
) -> Result<UpscalingRow, TrainingError> {
    let pairs: Vec<(&HalvedPhoto<'_>, &DecodedImages)> = photos.iter().zip(decoded_images).collect();
    Ok(UpscalingRow {
        quality: quality.get(),
        bytes: mean_of(&pairs, |(_, decoded)| decoded.bytes as f64),
        bpp: mean_of(&pairs, |(photo, decoded)| decoded.bytes as f64 * 8.0 / photo.half_pixels()),
        upscaled: mean_similarity(pairs.iter().map(|(photo, decoded)| (*photo, decoded.upscaled.clone())))?,
        enlarged: mean_similarity(pairs.iter().map(|(photo, decoded)| (*photo, decoded.enlarged.clone())))?,
    })
}

fn mean_similarity<'a>(
    pairs: impl Iterator<Item = (&'a HalvedPhoto<'a>, DynamicImage)>,
) -> Result<Similarity, TrainingError> {
    let points = pairs
        .map(|(photo, image)| RdPoint::measure(0, 0, &photo.truth, image))
        .collect::<Result<Vec<_>, _>>()?;
    let ms_ssim: Option<Vec<f64>> = points.iter().map(|point| point.ms_ssim).collect();
    Ok(Similarity {
        psnr: mean_of(&points, |point| point.psnr),
        ms_ssim: ms_ssim.map(|values| mean_of(&values, |value| *value)),
        psnr_by_picture: points.iter().map(|point| point.psnr).collect(),
    })
}

impl UpscalingReport {
    /// Returns a table of all qualities.
    #[must_use]
    pub fn table(&self) -> String {
        let header = "| quality | bytes | bits per pixel sent | upscale, PSNR | MS-SSIM | reconstruct and bicubic, PSNR | \
                    MS-SSIM | gain, dB |\n|---|---|---|---|---|---|---|---|\n";
        let last = format!("| without coding, bicubic | | 24 | | | {} | |\n", self.uncompressed);
        header.to_owned() + &self.rows.iter().map(format_row).collect::<String>() + &last
    }
}

/// Returns a row of the table.
fn format_row(row: &UpscalingRow) -> String {
    let UpscalingRow { quality, bytes, bpp, upscaled, enlarged } = row;
    let gain = upscaled.psnr - enlarged.psnr;
    format!("| {quality} | {bytes:.0} | {bpp:.3} | {upscaled} | {enlarged} | {gain:+.2} |\n")
}

impl fmt::Display for Similarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ms_ssim {
            Some(ms_ssim) => write!(f, "{:.2} | {ms_ssim:.4}", self.psnr),
            None => write!(f, "{:.2} | –", self.psnr),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similarity(psnr: f64, ms_ssim: Option<f64>) -> Similarity {
        Similarity { psnr, ms_ssim, psnr_by_picture: vec![psnr] }
    }

    #[test]
    fn the_table_has_the_bytes_and_both_enlargements() {
        let row = UpscalingRow {
            quality: 40,
            bytes: 1234.4,
            bpp: 0.3456,
            upscaled: similarity(31.0, Some(0.96)),
            enlarged: similarity(30.25, None),
        };
        let figures = UpscalingReport {
            pictures: vec!["one.png".into()],
            cost: ImageCodecCost { parameters: 9, macs_per_pixel: 1.0 },
            rows: vec![row],
            uncompressed: similarity(35.0, Some(0.99)),
            shown: Vec::new(),
        };
        let table = figures.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[2], "| 40 | 1234 | 0.346 | 31.00 | 0.9600 | 30.25 | – | +0.75 |");
        assert_eq!(lines[3], "| without coding, bicubic | | 24 | | | 35.00 | 0.9900 | |");
        assert!(lines.iter().all(|line| line.matches('|').count() == 9));
    }

    #[test]
    fn an_odd_last_row_is_dropped() {
        let named = ("odd.png".to_owned(), DynamicImage::new_rgb8(7, 5));
        let photo = HalvedPhoto::new(&named);
        assert_eq!((photo.truth.width(), photo.truth.height()), (6, 4));
        assert_eq!((photo.half.width(), photo.half.height()), (3, 2));
    }
}
