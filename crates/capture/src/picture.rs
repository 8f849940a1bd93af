use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use crate::{CaptureError, stream::Raw};

/// The largest side of an image that is decoded, in pixels.
const MAX_SIDE: u32 = 1 << 14;
/// Maximum number of bytes that decoding may allocate.
const MAX_DECODED: u64 = 256 << 20;

/// A captured image. It is decoded on request, so that dropping it costs nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Encoded(ImageFormat, Vec<u8>),
    Raw(Raw, Vec<u8>),
    Decoded(DynamicImage),
}

impl Picture {
    /// Wraps the bytes of a whole file of this format.
    pub(crate) fn encoded(format: ImageFormat, bytes: Vec<u8>) -> Self {
        Self(Form::Encoded(format, bytes))
    }

    /// Wraps raw samples.
    pub(crate) fn raw(layout: Raw, samples: Vec<u8>) -> Self {
        Self(Form::Raw(layout, samples))
    }

    /// Returns the captured bytes: a whole JPEG or PNM file, or raw samples; `None` for an image that was
    /// supplied decoded.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Encoded(_, bytes) | Form::Raw(_, bytes) => Some(bytes),
            Form::Decoded(_) => None,
        }
    }

    /// Decodes the image: 8 or 16 bits, grey or RGB.
    ///
    /// # Errors
    /// [`CaptureError::Picture`] if it is damaged, has a side over 16384 pixels or takes over 256 MiB.
    pub fn decode(self) -> Result<DynamicImage, CaptureError> {
        match self.0 {
            Form::Encoded(format, bytes) => {
                let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
                reader.limits(limits());
                reader.decode().map_err(CaptureError::Picture)
            }
            Form::Raw(layout, samples) => layout.decode(samples),
            Form::Decoded(picture) => Ok(picture),
        }
    }
}

impl From<DynamicImage> for Picture {
    fn from(picture: DynamicImage) -> Self {
        Self(Form::Decoded(picture))
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    limits
}
