use image::{DynamicImage, ExtendedColorType};

use crate::{ImageShape, QualityError};

/// An image of a supported kind, with at least one pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageView<'a> {
    pub(crate) shape: ImageShape,
    /// Samples row by row; the channels of a pixel are adjacent.
    pub(crate) samples: &'a [u8],
}

impl<'a> ImageView<'a> {
    pub(crate) fn new(image: &'a DynamicImage) -> Result<Self, QualityError> {
        let (samples, channels) = match image {
            DynamicImage::ImageLuma8(grey) => (grey.as_raw(), 1),
            DynamicImage::ImageRgb8(rgb) => (rgb.as_raw(), 3),
            other => return Err(QualityError::UnsupportedColour { found: other.color() }),
        };
        let (width, height) = (image.width(), image.height());
        if width == 0 || height == 0 {
            return Err(QualityError::EmptyImage { width, height });
        }
        let shape = ImageShape { width, height, channels };
        // The image crate permits a buffer that is longer than its pixels.
        let samples = &samples[..shape.pixel_count() as usize * usize::from(channels)];
        Ok(Self { shape, samples })
    }

    pub(crate) fn colour_type(&self) -> ExtendedColorType {
        if self.shape.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 }
    }

    /// Refuses two images that cannot be compared sample by sample.
    pub(crate) fn check_same_shape(&self, other: &Self) -> Result<(), QualityError> {
        let (a, b) = (self.shape, other.shape);
        if a == b { Ok(()) } else { Err(QualityError::ShapeMismatch { a, b }) }
    }

    /// Refuses an image with a side of more than `limit` pixels.
    pub(crate) fn check_sides(&self, codec: &'static str, limit: u32) -> Result<(), QualityError> {
        let found = self.shape;
        let is_within_limit = found.width.max(found.height) <= limit;
        if is_within_limit { Ok(()) } else { Err(QualityError::SideTooLong { codec, found, limit }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, RgbImage};

    #[test]
    fn grey_and_rgb_are_accepted() {
        let grey = DynamicImage::ImageLuma8(GrayImage::new(3, 2));
        assert_eq!(ImageView::new(&grey).unwrap().shape.to_string(), "3×2 grey");
        let rgb = DynamicImage::ImageRgb8(RgbImage::new(3, 2));
        let view = ImageView::new(&rgb).unwrap();
        assert_eq!((view.shape.to_string().as_str(), view.samples.len()), ("3×2 RGB", 18));
    }

    #[test]
    fn other_kinds_and_empty_images_are_refused() {
        let error = ImageView::new(&DynamicImage::new_rgba8(2, 2)).unwrap_err();
        assert_eq!(error, QualityError::UnsupportedColour { found: image::ColorType::Rgba8 });
        let error = ImageView::new(&DynamicImage::new_luma8(0, 5)).unwrap_err();
        assert_eq!(error, QualityError::EmptyImage { width: 0, height: 5 });
    }

    #[test]
    fn bytes_beyond_the_pixels_are_ignored() {
        let long = DynamicImage::ImageLuma8(GrayImage::from_raw(2, 2, vec![9; 7]).unwrap());
        assert_eq!(ImageView::new(&long).unwrap().samples, [9; 4]);
    }
}
