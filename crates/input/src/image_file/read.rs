//! Files of one image: how they are opened and read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use image::DynamicImage;

use super::{
    ImageFileError, ImagePolicy, ReadImage,
    format::{FileFormat, HEAD_BYTES},
    limits::max_decoder_bytes,
    open::OpenImage,
};
use crate::limits::InputLimits;

/// The usual endings of the names of files that contain one image, in lower case, without the dot. The content decides
/// how a file is read; [`is_image`] judges by it.
pub const IMAGE_EXTENSIONS: [&str; 16] = [
    "png", "jpg", "jpeg", "webp", "pgm", "ppm", "pnm", "pbm", "pam", "bmp", "tif", "tiff", "gif", "qoi",
    "jpe", "jfif",
];

/// Number of bytes by which an image is recognised.
pub const IMAGE_HEAD_BYTES: usize = HEAD_BYTES;

/// Returns whether a file contains one image, judged by the ending of its name.
#[must_use]
pub fn has_image_extension(path: &Path) -> bool {
    path.extension()
        .is_some_and(|found| IMAGE_EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// Returns whether a file is an image, judged by its content alone. Images of known formats that are refused, such as
/// HEIC, count: reading them returns the reason.
///
/// # Errors
/// The system's error if the file cannot be read.
pub fn is_image(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(IMAGE_HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(has_image_content(&head))
}

/// Returns whether the first [`IMAGE_HEAD_BYTES`] of a file, or the whole of a shorter one, are those of an image, as
/// [`is_image`] does.
#[must_use]
pub fn has_image_content(head: &[u8]) -> bool {
    FileFormat::detect(head).is_some()
}

/// Reads a file of one image as a viewer shows it.
///
/// # Errors
/// [`ImageFileError`]: the file cannot be read, is not an image, is damaged, or is over one of the limits.
pub fn read_image_file(path: &Path, policy: &ImagePolicy) -> Result<ReadImage, ImageFileError> {
    let bytes = read_bytes(path, policy)?;
    let decoded = OpenImage::open(&bytes, policy)?.decode(policy)?;
    // The image may need as much memory again.
    drop(bytes);
    Ok(decoded.into_shown(policy))
}

/// Decodes the content of a file of one image as a viewer shows it.
///
/// # Errors
/// [`ImageFileError`]: the content is not an image, is damaged, or is over one of the limits.
pub fn decode_image_bytes(bytes: &[u8], policy: &ImagePolicy) -> Result<ReadImage, ImageFileError> {
    Ok(OpenImage::open(bytes, policy)?.decode(policy)?.into_shown(policy))
}

/// Returns width and height of the image as a viewer shows it, from its header alone, after they were compared with the
/// limits.
///
/// # Errors
/// [`ImageFileError`]: the content is not an image, or is over one of the limits.
pub fn image_dimensions(bytes: &[u8], policy: &ImagePolicy) -> Result<(u32, u32), ImageFileError> {
    Ok(OpenImage::open(bytes, policy)?.dimensions())
}

/// Reads a file of one image with the default policy, within these limits. [`read_image_file`] also returns what else the
/// file says.
///
/// # Errors
/// As [`read_image_file`].
pub fn read_image(path: &Path, limits: &InputLimits) -> Result<DynamicImage, ImageFileError> {
    Ok(read_image_file(path, &ImagePolicy::with_limits(*limits))?.image)
}

fn read_bytes(path: &Path, policy: &ImagePolicy) -> Result<Vec<u8>, ImageFileError> {
    let limit = max_decoder_bytes(&policy.limits);
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes > limit {
        return Err(ImageFileError::FileTooLong { bytes, limit });
    }
    read_within(&mut file, limit)
}

/// Reads to the end. The length of a file is no limit, because a device or a pipe has none.
fn read_within(reader: &mut impl Read, limit: u64) -> Result<Vec<u8>, ImageFileError> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(ImageFileError::FileTooLong { bytes: bytes.len() as u64, limit });
    }
    Ok(bytes)
}
