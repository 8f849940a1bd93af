use std::ops::RangeInclusive;

use image::DynamicImage;

use super::CodecPoint;
use crate::{QualityError, psnr};

/// A lossy baseline codec. Implementations can be measured, drawn as a curve and timed.
pub trait Baseline {
    /// Returns the name of the codec and its variant, for tables and legends, as in `JPEG 4:2:0`.
    fn name(&self) -> String;

    /// Returns the range of quality settings; higher is better. The scales of two codecs are not comparable.
    fn qualities(&self) -> RangeInclusive<u8>;

    /// Encodes an image, 8-bit grey or RGB, as a complete file.
    ///
    /// # Errors
    /// Returns [`QualityError::InvalidSetting`] for a quality outside [`qualities`](Self::qualities),
    /// [`QualityError::SideTooLong`] for a side that the format does not support, [`QualityError::UnsupportedColour`] or
    /// [`QualityError::EmptyImage`] for an image that is not supported, [`QualityError::CodecFailed`] if the encoder
    /// fails.
    fn encode(&self, image: &DynamicImage, quality: u8) -> Result<Vec<u8>, QualityError>;

    /// Decodes a file that [`encode`](Self::encode) created, to 8-bit RGB, or to grey if the format supports
    /// grey.
    ///
    /// # Errors
    /// Returns [`QualityError::CodecFailed`] if the file is damaged.
    fn decode(&self, file: &[u8]) -> Result<DynamicImage, QualityError>;
}

/// Returns the size of the codec's file for one image, and its PSNR. A grey image is compared with the luma
/// of the decoded image.
///
/// # Errors
/// Returns the errors of [`Baseline::encode`] and [`Baseline::decode`].
pub fn baseline_point(
    baseline: &dyn Baseline,
    image: &DynamicImage,
    quality: u8,
) -> Result<CodecPoint, QualityError> {
    let file = baseline.encode(image, quality)?;
    let decoded = in_colours_of(image, baseline.decode(&file)?);
    Ok(CodecPoint { quality, bytes: file.len(), psnr: psnr(image, &decoded)? })
}

/// Converts `decoded` to the channels of `original`: some formats do not support grey and return three equal channels, and
/// Lopside returns an RGB image without colour as grey.
pub(crate) fn in_colours_of(original: &DynamicImage, decoded: DynamicImage) -> DynamicImage {
    match (original, decoded) {
        (DynamicImage::ImageLuma8(_), DynamicImage::ImageRgb8(rgb)) => {
            DynamicImage::ImageLuma8(DynamicImage::ImageRgb8(rgb).to_luma8())
        }
        (DynamicImage::ImageRgb8(_), DynamicImage::ImageLuma8(grey)) => {
            DynamicImage::ImageRgb8(DynamicImage::ImageLuma8(grey).into_rgb8())
        }
        (_, decoded) => decoded,
    }
}
