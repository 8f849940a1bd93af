//! The colour profile (ICC.1) that a file contains. A profile that cannot be read is an error and not none: the samples
//! would be taken as sRGB without a word.

use image::{ImageDecoder, ImageFormat};

use super::{png_chunks::PngChunks, tiff_tags::TiffTags};

/// The tag of a profile (TIFF/EP, ISO 12234-2).
const TIFF_PROFILE: u16 = 34_675;
/// The flag of a profile in the extended header of a WebP file.
const WEBP_PROFILE: u8 = 1 << 5;
/// Maximum number of bytes of a profile; those of printers have up to four million.
const MAX_PROFILE_BYTES: usize = 16 << 20;

/// Returns the profile of a file of any format except JPEG; `None` if it has none.
///
/// # Errors
/// The reason why a profile that the file has cannot be used.
pub(super) fn read_profile(
    bytes: &[u8],
    format: ImageFormat,
    decoder: &mut dyn ImageDecoder,
) -> Result<Option<Vec<u8>>, String> {
    let has_profile = match format {
        // The decoder refuses a profile that is long in comparison with the pixels, and says that there is none.
        ImageFormat::Tiff => return read_tiff_profile(bytes),
        ImageFormat::Png => PngChunks::read(bytes).has_profile,
        ImageFormat::WebP => {
            bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & WEBP_PROFILE != 0)
        }
        _ => false,
    };
    let profile = decoder.icc_profile().map_err(|error| error.to_string())?;
    if has_profile && profile.is_none() {
        return Err("it is damaged".into());
    }
    Ok(profile)
}

fn read_tiff_profile(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let Some((tags, first)) = TiffTags::parse(bytes) else { return Ok(None) };
    if !tags.has(first, TIFF_PROFILE) {
        return Ok(None);
    }
    match tags.value(first, TIFF_PROFILE).and_then(|value| value.raw()) {
        Some(profile) if profile.len() > MAX_PROFILE_BYTES => {
            Err(format!("it has {} bytes, over the limit of {MAX_PROFILE_BYTES}", profile.len()))
        }
        Some(profile) => Ok(Some(profile.to_vec())),
        None => Err("it is cut off, or not stored as bytes".into()),
    }
}
