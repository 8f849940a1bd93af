//! Images that are larger than the cloud decodes.

use std::borrow::Cow;

use image::imageops::FilterType;
use lopside_encoder::source::EncoderInput;

use super::OversizedImages;
use crate::EdgeError;

/// Returns an input in a size that the cloud decodes: at most `max_pixels` pixels, if it is an image.
///
/// # Errors
/// [`EdgeError::TooLargeForCloud`] for a larger image, unless it is to be scaled.
pub(crate) fn fit_for_cloud(
    input: &EncoderInput,
    max_pixels: u64,
    oversized: OversizedImages,
) -> Result<Cow<'_, EncoderInput>, EdgeError> {
    let EncoderInput::Image(image) = input else { return Ok(Cow::Borrowed(input)) };
    let (width, height) = (image.width(), image.height());
    if u64::from(width) * u64::from(height) <= max_pixels {
        return Ok(Cow::Borrowed(input));
    }
    match oversized {
        OversizedImages::Refuse => Err(EdgeError::TooLargeForCloud { width, height, limit: max_pixels }),
        OversizedImages::Scale => {
            let [width, height] = fitting_size([width, height], max_pixels);
            Ok(Cow::Owned(EncoderInput::Image(image.resize_exact(width, height, FilterType::Triangle))))
        }
    }
}

/// Returns the largest size of about the same shape that has at most this many pixels, of which there is at least one.
fn fitting_size([width, height]: [u32; 2], max_pixels: u64) -> [u32; 2] {
    let pixels = f64::from(width) * f64::from(height);
    let factor = (max_pixels as f64 / pixels).sqrt();
    let [width, height] = [width, height].map(|side| ((f64::from(side) * factor) as u64).max(1));
    let width = width.min(max_pixels.max(1));
    // A side that was shorter than a pixel makes the other one too long.
    let height = height.min(max_pixels / width).max(1);
    [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage};

    use super::*;

    fn image(width: u32, height: u32) -> EncoderInput {
        EncoderInput::Image(DynamicImage::from(GrayImage::new(width, height)))
    }

    #[test]
    fn an_image_over_the_limit_of_the_cloud_is_refused_or_scaled() {
        let fit = |input: &EncoderInput, oversized| -> Result<[u32; 2], String> {
            let fitted = fit_for_cloud(input, 1000, oversized).map_err(|error| error.to_string())?;
            match &*fitted {
                EncoderInput::Image(image) => Ok([image.width(), image.height()]),
                EncoderInput::Values(values) => Ok([values.len() as u32, 0]),
            }
        };
        assert_eq!(fit(&image(40, 25), OversizedImages::Refuse), Ok([40, 25]));
        let error = fit(&image(41, 25), OversizedImages::Refuse).unwrap_err();
        for part in ["41×25", "1000 pixels", "too_large = \"scale\"", "--max-megapixels"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(fit(&image(400, 250), OversizedImages::Scale), Ok([40, 25]));
        assert_eq!(fit(&image(1, 5000), OversizedImages::Scale), Ok([1, 1000]));
        assert_eq!(fit(&EncoderInput::Values(vec![0.0; 2000]), OversizedImages::Refuse), Ok([2000, 0]));
    }

    #[test]
    fn a_fitting_size_has_the_shape_of_the_image() {
        for (size, max_pixels) in
            [([13_000, 13_000], 40_000_000), ([1, u32::MAX], 7), ([u32::MAX, 3], 1), ([31_999, 2], 999)]
        {
            let [width, height] = fitting_size(size, max_pixels);
            assert!(width >= 1 && height >= 1, "{width}×{height}");
            assert!(u64::from(width) * u64::from(height) <= max_pixels, "{width}×{height}");
        }
        assert_eq!(fitting_size([8000, 6000], 12_000_000), [4000, 3000]);
    }
}
