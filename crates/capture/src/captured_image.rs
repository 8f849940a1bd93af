use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader};
use lopside_input::{InputLimits, check_image_size, decode_image};

use crate::{CaptureError, stream::RawLayout};

/// A captured image. It is decoded on request, so that dropping it costs nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturedImage(ImageForm);

#[derive(Debug, Clone, PartialEq)]
enum ImageForm {
    Encoded(ImageFormat, Vec<u8>),
    Raw(RawLayout, Vec<u8>),
    Decoded(DynamicImage),
}

impl CapturedImage {
    /// Wraps the bytes of a whole file of this format.
    pub(crate) fn from_encoded(format: ImageFormat, bytes: Vec<u8>) -> Self {
        Self(ImageForm::Encoded(format, bytes))
    }

    /// Wraps raw samples.
    pub(crate) fn from_raw(layout: RawLayout, samples: Vec<u8>) -> Self {
        Self(ImageForm::Raw(layout, samples))
    }

    /// Returns the captured bytes: a whole JPEG or PNM file, or raw samples; `None` for an image that was
    /// supplied decoded.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            ImageForm::Encoded(_, bytes) | ImageForm::Raw(_, bytes) => Some(bytes),
            ImageForm::Decoded(_) => None,
        }
    }

    /// Decodes the image within the default limits: 8 or 16 bits, grey or RGB.
    ///
    /// # Errors
    /// [`CaptureError::DecodeImage`] if it is damaged or over a limit.
    pub fn decode(self) -> Result<DynamicImage, CaptureError> {
        self.decode_within(&InputLimits::default())
    }

    /// Decodes the image within these limits: 8 or 16 bits, grey or RGB. Its size is checked before memory is
    /// allocated for it.
    ///
    /// # Errors
    /// [`CaptureError::DecodeImage`] if it is damaged or over a limit.
    pub fn decode_within(self, limits: &InputLimits) -> Result<DynamicImage, CaptureError> {
        match self.0 {
            ImageForm::Encoded(format, bytes) => {
                let reader = ImageReader::with_format(Cursor::new(bytes), format);
                decode_image(reader, limits).map_err(CaptureError::DecodeImage)
            }
            ImageForm::Raw(layout, samples) => {
                let (width, height) = layout.dimensions();
                check_image_size(width, height, limits).map_err(CaptureError::DecodeImage)?;
                layout.decode(samples)
            }
            ImageForm::Decoded(image) => Ok(image),
        }
    }
}

impl From<DynamicImage> for CapturedImage {
    fn from(image: DynamicImage) -> Self {
        Self(ImageForm::Decoded(image))
    }
}
