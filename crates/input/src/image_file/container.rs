//! Files of several images, of which the first is read.

use image::ImageFormat;

use super::{ImageFileError, format::CAMERA_RAW, png_chunks::PngChunks, tiff_tags::TiffTags};

/// The flag of an animation in the extended header of a WebP file.
const WEBP_ANIMATION: u8 = 1 << 1;
/// Tags of TIFF: the purpose of an image, images below it, and the version of Adobe's raw format.
const NEW_SUBFILE_TYPE: u16 = 254;
const SUB_DIRECTORIES: u16 = 330;
const DNG_VERSION: u16 = 0xc612;

/// Returns whether a file contains more than one image.
pub(super) fn has_several_images(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Png => PngChunks::read(bytes).is_animated,
        ImageFormat::WebP => {
            bytes.get(12..16) == Some(b"VP8X")
                && bytes.get(20).is_some_and(|flags| flags & WEBP_ANIMATION != 0)
        }
        ImageFormat::Gif => count_gif_images(bytes).unwrap_or(0) > 1,
        ImageFormat::Tiff => {
            let next = TiffTags::parse(bytes).and_then(|(tags, first)| tags.next_directory(first));
            next.is_some_and(|offset| offset != 0)
        }
        _ => false,
    }
}

/// Refuses the raw formats of cameras that are TIFF files: their first image is a thumbnail.
///
/// # Errors
/// [`ImageFileError::Unsupported`].
pub(super) fn refuse_camera_raw(bytes: &[u8]) -> Result<(), ImageFileError> {
    let Some((tags, first)) = TiffTags::parse(bytes) else { return Ok(()) };
    let is_reduced = tags.value(first, NEW_SUBFILE_TYPE).and_then(|value| value.number()) == Some(1);
    let has_larger = tags.has(first, SUB_DIRECTORIES);
    if tags.has(first, DNG_VERSION) || (is_reduced && has_larger) {
        let (kind, fix) = CAMERA_RAW;
        return Err(ImageFileError::Unsupported { kind, fix });
    }
    Ok(())
}

/// Counts the images of a GIF file up to two (version 89a, section 12); `None` if its structure ends early.
fn count_gif_images(bytes: &[u8]) -> Option<u32> {
    let mut offset = 13 + colour_table_bytes(*bytes.get(10)?);
    let mut images = 0;
    while images < 2 {
        match bytes.get(offset)? {
            // An extension and its label, or an image with its header, colours and size of codes.
            0x21 => offset += 2,
            0x2c => {
                images += 1;
                offset += 11 + colour_table_bytes(*bytes.get(offset + 9)?);
            }
            _ => break,
        }
        loop {
            let block = usize::from(*bytes.get(offset)?);
            offset += 1 + block;
            if block == 0 {
                break;
            }
        }
    }
    Some(images)
}

fn colour_table_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}
