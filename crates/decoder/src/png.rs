use std::io::Cursor;

use image::{DynamicImage, ImageFormat};

use crate::DecodeError;

/// Encodes an image as a PNG file.
pub(crate) fn encode_png(image: &DynamicImage) -> Result<Vec<u8>, DecodeError> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).map_err(|error| DecodeError::Internal(error.to_string()))?;
    Ok(file.into_inner())
}
