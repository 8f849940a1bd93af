use image::DynamicImage;
use lopside_input::{ImageNotes, ImagePolicy, InputLimits, ReadImage, check_image_size, decode_image_bytes};

use crate::{CaptureError, stream::RawLayout};

/// A captured image. It is decoded on request, so that dropping it costs nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturedImage(ImageForm);

#[derive(Debug, Clone, PartialEq)]
enum ImageForm {
    Encoded(Vec<u8>),
    Raw(RawLayout, Vec<u8>),
    Decoded(ReadImage),
}

impl CapturedImage {
    /// Wraps the bytes of a whole file of one image.
    pub(crate) fn from_encoded(bytes: Vec<u8>) -> Self {
        Self(ImageForm::Encoded(bytes))
    }

    /// Wraps raw samples.
    pub(crate) fn from_raw(layout: RawLayout, samples: Vec<u8>) -> Self {
        Self(ImageForm::Raw(layout, samples))
    }

    /// Returns the captured bytes: a whole file of one image, or raw samples; `None` for an image that was supplied
    /// decoded.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            ImageForm::Encoded(bytes) | ImageForm::Raw(_, bytes) => Some(bytes),
            ImageForm::Decoded(_) => None,
        }
    }

    /// Decodes the image by the default policy: 8 or 16 bits, grey or RGB.
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
        Ok(self.read(&ImagePolicy::with_limits(*limits))?.image)
    }

    /// Decodes the image as a viewer shows it, by the policy that also applies to files. An image that was supplied
    /// decoded is returned as it is.
    ///
    /// # Errors
    /// [`CaptureError::DecodeImage`] if the policy refuses the image.
    pub fn read(self, policy: &ImagePolicy) -> Result<ReadImage, CaptureError> {
        match self.0 {
            ImageForm::Encoded(bytes) => {
                decode_image_bytes(&bytes, policy).map_err(CaptureError::DecodeImage)
            }
            ImageForm::Raw(layout, samples) => {
                let (width, height) = layout.dimensions();
                check_image_size(width, height, &policy.limits).map_err(CaptureError::DecodeImage)?;
                Ok(ReadImage { image: layout.decode(samples)?, notes: ImageNotes::default() })
            }
            ImageForm::Decoded(image) => Ok(image),
        }
    }
}

impl From<DynamicImage> for CapturedImage {
    fn from(image: DynamicImage) -> Self {
        ReadImage { image, notes: ImageNotes::default() }.into()
    }
}

impl From<ReadImage> for CapturedImage {
    fn from(image: ReadImage) -> Self {
        Self(ImageForm::Decoded(image))
    }
}
