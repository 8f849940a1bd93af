use std::io::Cursor;

use image::{DynamicImage, ImageFormat};

use crate::DecodeError;

/// Encodes an image as a PNG file.
pub(crate) fn encode_png(picture: &DynamicImage) -> Result<Vec<u8>, DecodeError> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, ImageFormat::Png).map_err(|error| DecodeError::Internal(error.to_string()))?;
    Ok(out.into_inner())
}
