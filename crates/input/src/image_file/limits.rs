//! The limits on the size of an image, which are checked before memory is allocated for it.

use super::ImageFileError;
use crate::limits::InputLimits;

/// Maximum number of bytes of metadata, such as colour profiles, in addition to the samples.
const METADATA_BYTES: u64 = 16 << 20;

/// Checks the size of an image in pixels.
///
/// # Errors
/// [`ImageFileError::SideTooLong`] and [`ImageFileError::TooManyPixels`].
pub fn check_image_size(width: u32, height: u32, limits: &InputLimits) -> Result<(), ImageFileError> {
    let InputLimits { max_pixels, max_side, .. } = *limits;
    if width.max(height) > max_side {
        return Err(ImageFileError::SideTooLong { width, height, limit: max_side });
    }
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(ImageFileError::TooManyPixels { width, height, limit: max_pixels });
    }
    Ok(())
}

/// Checks that an image has pixels, and its size.
///
/// # Errors
/// [`ImageFileError::NoPixels`], and those of [`check_image_size`].
pub(super) fn check_declared_size(
    width: u32,
    height: u32,
    limits: &InputLimits,
) -> Result<(), ImageFileError> {
    if width == 0 || height == 0 {
        return Err(ImageFileError::NoPixels { width, height });
    }
    check_image_size(width, height, limits)
}

/// Returns the limits of a decoder.
pub(super) fn decoder_limits(limits: &InputLimits) -> image::Limits {
    let mut decoder_limits = image::Limits::default();
    decoder_limits.max_alloc = Some(max_decoder_bytes(limits));
    decoder_limits
}

/// Returns the maximum number of bytes of a file, and of the memory that its decoder allocates.
pub(super) fn max_decoder_bytes(limits: &InputLimits) -> u64 {
    limits.max_image_bytes().saturating_add(METADATA_BYTES)
}
