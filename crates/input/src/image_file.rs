//! Files of one image: the formats that are read, how a reader of them is opened, and how large an image may be.
//!
//! All programs open images here, so that they read the same formats under the same limits. The format is detected
//! from the content, because a wrong file name is harmless; the name decides only for content that no format
//! recognises. The size that a header declares is checked before an image is decoded.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Cursor, Seek},
    path::Path,
};

use image::{DynamicImage, ImageDecoder as _, ImageError, ImageReader};

use crate::limits::InputLimits;

/// The endings of the names of files that contain one image, in lower case, without the dot.
pub const IMAGE_EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "pgm", "ppm", "pnm"];

/// Maximum number of bytes of metadata, such as colour profiles, in addition to the samples.
const METADATA_BYTES: u64 = 16 << 20;

/// Reason why an image is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The content is damaged, or not an image of a known format.
    #[error(transparent)]
    Decode(#[from] ImageError),
    /// The image has more pixels than allowed.
    #[error(
        "an image of {width}×{height} pixels is over the limit of {limit} pixels per image: scale it down, or cut it \
         into parts"
    )]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Maximum number of pixels.
        limit: u64,
    },
    /// A side of the image is longer than allowed.
    #[error(
        "an image of {width}×{height} pixels is over the limit of {limit} pixels per side: scale it down, or cut it into \
         parts"
    )]
    SideTooLong {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The longest side that is allowed, in pixels.
        limit: u32,
    },
    /// The file is longer than an image of the allowed size can be.
    #[error("an image file of {bytes} bytes is over the limit of {limit} bytes: scale the image down")]
    FileTooLong {
        /// Length of the file in bytes.
        bytes: u64,
        /// Maximum length in bytes.
        limit: u64,
    },
}

/// Returns whether a file contains one image, judged by the ending of its name.
#[must_use]
pub fn has_image_extension(path: &Path) -> bool {
    path.extension()
        .is_some_and(|found| IMAGE_EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// Opens a file of one image. Its decoder allocates at most what the default [`InputLimits`] allow.
///
/// # Errors
/// The system's error if the file cannot be read.
pub fn open_image(path: &Path) -> io::Result<ImageReader<BufReader<File>>> {
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    reader.limits(decoder_limits(&InputLimits::default()));
    Ok(reader)
}

/// Opens an image in memory. Its decoder allocates at most what the default [`InputLimits`] allow.
///
/// # Errors
/// None in practice, because memory can always be read.
pub fn image_reader(bytes: &[u8]) -> io::Result<ImageReader<Cursor<&[u8]>>> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(decoder_limits(&InputLimits::default()));
    Ok(reader)
}

/// Reads a file of one image.
///
/// # Errors
/// [`ImageFileError`]: the file cannot be read, is not an image, or is over one of the limits.
pub fn read_image(path: &Path, limits: &InputLimits) -> Result<DynamicImage, ImageFileError> {
    let (bytes, limit) = (fs::metadata(path)?.len(), max_decoder_bytes(limits));
    // Some decoders read the whole file into memory.
    if bytes > limit {
        return Err(ImageFileError::FileTooLong { bytes, limit });
    }
    decode_image(open_image(path)?, limits)
}

/// Decodes an image after its size was compared with the limits.
///
/// # Errors
/// [`ImageFileError`]: the content is not an image, or is over one of the limits.
pub fn decode_image<R: BufRead + Seek>(
    mut reader: ImageReader<R>,
    limits: &InputLimits,
) -> Result<DynamicImage, ImageFileError> {
    reader.limits(decoder_limits(limits));
    let decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    check_image_size(width, height, limits)?;
    Ok(DynamicImage::from_decoder(decoder)?)
}

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

fn decoder_limits(limits: &InputLimits) -> image::Limits {
    let mut decoder_limits = image::Limits::default();
    decoder_limits.max_alloc = Some(max_decoder_bytes(limits));
    decoder_limits
}

fn max_decoder_bytes(limits: &InputLimits) -> u64 {
    limits.max_image_bytes().saturating_add(METADATA_BYTES)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageFormat};

    use super::*;

    #[test]
    fn files_are_recognised_by_extension_and_formats_by_content() {
        for name in ["a.png", "b.JPEG", "c.d.pgm"] {
            assert!(has_image_extension(Path::new(name)), "{name}");
        }
        for name in ["png", "a.npy", "a.png.gz", "a."] {
            assert!(!has_image_extension(Path::new(name)), "{name}");
        }
        let mut png = Cursor::new(Vec::new());
        GrayImage::new(3, 2).write_to(&mut png, ImageFormat::Png).unwrap();
        let reader = image_reader(png.get_ref()).unwrap();
        assert_eq!(reader.format(), Some(ImageFormat::Png));
        assert_eq!(reader.into_dimensions().unwrap(), (3, 2));
    }
}
