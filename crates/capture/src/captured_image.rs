use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use crate::{CaptureError, stream::RawLayout};

/// The largest side of an image that is decoded, in pixels.
const MAX_SIDE: u32 = 1 << 14;
/// Maximum number of bytes that decoding may allocate.
const MAX_DECODED_BYTES: u64 = 256 << 20;

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

    /// Decodes the image: 8 or 16 bits, grey or RGB.
    ///
    /// # Errors
    /// [`CaptureError::DecodeImage`] if it is damaged, has a side over 16384 pixels or takes over 256 MiB.
    pub fn decode(self) -> Result<DynamicImage, CaptureError> {
        match self.0 {
            ImageForm::Encoded(format, bytes) => {
                let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
                reader.limits(limits());
                reader.decode().map_err(CaptureError::DecodeImage)
            }
            ImageForm::Raw(layout, samples) => layout.decode(samples),
            ImageForm::Decoded(image) => Ok(image),
        }
    }
}

impl From<DynamicImage> for CapturedImage {
    fn from(image: DynamicImage) -> Self {
        Self(ImageForm::Decoded(image))
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    limits
}
