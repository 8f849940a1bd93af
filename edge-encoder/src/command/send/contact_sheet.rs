use image::DynamicImage;
use lopside_encoder::AnyEncoder;
use lopside_quality::ContactSheet;

use super::error::SendError;

/// Columns of a sheet of thumbnails, and the width in pixels that thumbnails are enlarged to.
const THUMBNAIL_COLUMNS: u32 = 8;
const THUMBNAIL_WIDTH: u32 = 112;
/// Columns of a sheet of photographs, the longest side of a photograph in pixels, and the maximum number of
/// pairs.
const PHOTO_COLUMNS: u32 = 2;
const PHOTO_SIDE: u32 = 768;
const PHOTO_PAIRS: usize = 48;

/// The contact sheet of a run: enlarged thumbnails, or reduced photographs.
pub(super) struct RunSheet {
    pairs: ContactSheet,
    /// The longest side of an image in pixels; `None` keeps the original size.
    max_side: Option<u32>,
    /// Number of pairs that can still be added.
    remaining_pairs: usize,
}

impl RunSheet {
    /// Creates an empty sheet for the images of an encoder.
    pub(super) fn new(encoder: &AnyEncoder) -> Result<Self, SendError> {
        match encoder {
            AnyEncoder::FixedLatent(..) => {
                let width = encoder.comparable_original(&DynamicImage::new_luma8(1, 1)).width();
                let scale = (THUMBNAIL_WIDTH / width).max(1);
                let pairs = ContactSheet::new(THUMBNAIL_COLUMNS, scale)?;
                Ok(Self { pairs, max_side: None, remaining_pairs: usize::MAX })
            }
            AnyEncoder::ImageCodec(..) => {
                let pairs = ContactSheet::new(PHOTO_COLUMNS, 1)?;
                Ok(Self { pairs, max_side: Some(PHOTO_SIDE), remaining_pairs: PHOTO_PAIRS })
            }
        }
    }

    /// Adds an input above its reconstruction, unless the sheet is full.
    pub(super) fn push_pair(&mut self, top: &DynamicImage, bottom: &DynamicImage) -> Result<(), SendError> {
        if self.remaining_pairs == 0 {
            return Ok(());
        }
        self.remaining_pairs -= 1;
        match self.max_side {
            Some(side) => self.pairs.push_pair(&shrink_image(top, side), &shrink_image(bottom, side))?,
            None => self.pairs.push_pair(top, bottom)?,
        }
        Ok(())
    }

    /// Returns whether the sheet is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Returns the sheet as a PNG file.
    pub(super) fn to_png(&self) -> Result<Vec<u8>, SendError> {
        Ok(self.pairs.to_png()?)
    }
}

/// Returns the image with its longest side reduced to at most `side` pixels.
fn shrink_image(image: &DynamicImage, side: u32) -> DynamicImage {
    if image.width().max(image.height()) <= side { image.clone() } else { image.thumbnail(side, side) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_images_are_shrunk() {
        let sides = |width, height| {
            let image = shrink_image(&DynamicImage::new_rgb8(width, height), 768);
            (image.width(), image.height())
        };
        assert_eq!(sides(1536, 1000), (768, 500));
        assert_eq!(sides(100, 3000), (26, 768));
        assert_eq!(sides(768, 20), (768, 20));
    }
}
