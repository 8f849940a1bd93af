//! The chunks of a WebP file (RFC 9649), as far as the decoder trusts them before it has seen their content: it allocates
//! the length that a chunk of metadata declares, and the size of the image inside, whatever the file declares as its size.

use std::iter;

use super::{ImageFileError, limits::check_image_size};
use crate::limits::InputLimits;

/// Length of the header of a WebP file: `RIFF`, a length, `WEBP`.
const FILE_HEADER_BYTES: usize = 12;
/// Length of the header of a chunk: four letters, and the length of its content.
const CHUNK_HEADER_BYTES: usize = 8;

/// Number of bytes of a frame of an animation before its chunks.
const FRAME_HEADER_BYTES: usize = 16;

/// A chunk, whose content may be cut off.
struct Chunk<'a> {
    name: [u8; 4],
    declared_length: usize,
    content: &'a [u8],
}

/// Checks that all chunks of a WebP file are within the file, and that no image in them is over the limits.
///
/// # Errors
/// [`ImageFileError::Damaged`] with the chunk that is cut off, or the error of an image that is too large.
pub(super) fn check_webp_chunks(bytes: &[u8], limits: &InputLimits) -> Result<(), ImageFileError> {
    for chunk in chunks(bytes.get(FILE_HEADER_BYTES..).unwrap_or_default()) {
        let (name, length, found) = (chunk.name, chunk.declared_length, chunk.content.len());
        if length > found {
            let name = name.escape_ascii();
            return Err(ImageFileError::damaged(format!(
                "the chunk {name} has {length} bytes, and the file {found} of them"
            )));
        }
        check_size(&chunk, limits)?;
        if name == *b"ANMF" {
            let frame = chunk.content.get(FRAME_HEADER_BYTES..).unwrap_or_default();
            chunks(frame).try_for_each(|chunk| check_size(&chunk, limits))?;
        }
    }
    Ok(())
}

/// Returns the chunks in these bytes. The content of one that is cut off ends with the bytes.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    iter::from_fn(move || {
        let (header, behind) = rest.split_first_chunk::<CHUNK_HEADER_BYTES>()?;
        let [a, b, c, d, length @ ..] = *header;
        let declared_length = u32::from_le_bytes(length) as usize;
        let length = declared_length.min(behind.len());
        // A chunk of odd length is followed by one byte, which the last chunk may lack.
        rest = behind.get(length + length % 2..).unwrap_or_default();
        Some(Chunk { name: [a, b, c, d], declared_length, content: &behind[..length] })
    })
}

/// Compares the size of the image that a chunk contains with the limits.
fn check_size(chunk: &Chunk<'_>, limits: &InputLimits) -> Result<(), ImageFileError> {
    let size = match &chunk.name {
        b"VP8 " => lossy_size(chunk.content),
        b"VP8L" => lossless_size(chunk.content),
        _ => None,
    };
    size.map_or(Ok(()), |[width, height]| check_image_size(width, height, limits))
}

/// Returns the size in the header of a key frame of VP8 (RFC 6386, section 9.1).
fn lossy_size(content: &[u8]) -> Option<[u32; 2]> {
    let bytes: [u8; 4] = content.get(6..10)?.try_into().ok()?;
    let [a, b, c, d] = bytes;
    Some([[a, b], [c, d]].map(|side| u32::from(u16::from_le_bytes(side) & 0x3fff)))
}

/// Returns the size in the header of lossless WebP (RFC 9649, section 3.4).
fn lossless_size(content: &[u8]) -> Option<[u32; 2]> {
    let bits = u32::from_le_bytes(content.get(1..5)?.try_into().ok()?);
    Some([bits, bits >> 14].map(|side| (side & 0x3fff) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Result<(), ImageFileError> {
        check_webp_chunks(bytes, &InputLimits { max_pixels: 1000, ..InputLimits::default() })
    }

    /// Returns a file of chunks with these declared lengths and contents.
    fn file(chunks: &[(&str, u32, &str)]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WEBP".to_vec();
        for (name, length, content) in chunks {
            bytes.extend([name.as_bytes(), &length.to_le_bytes(), content.as_bytes()].concat());
        }
        bytes
    }

    #[test]
    fn chunks_within_the_file_are_accepted() {
        assert!(check(&file(&[])).is_ok());
        assert!(check(&file(&[("VP8X", 3, "abc\0"), ("EXIF", 2, "ab")])).is_ok());
        assert!(check(&file(&[("VP8 ", 1, "a")])).is_ok());
        assert!(check(b"RIFF").is_ok(), "the decoder refuses it");
    }

    #[test]
    fn a_chunk_beyond_the_end_is_named() {
        let bytes = file(&[("VP8 ", 2, "ab"), ("EXIF", 1_677_721_626, "abcd")]);
        let error = check(&bytes).unwrap_err().to_string();
        assert!(error.contains("EXIF has 1677721626 bytes, and the file 4"), "{error}");
    }

    #[test]
    fn the_size_of_the_image_inside_counts() {
        let lossy = |side: &str| format!("\x01\x01\x01\u{1}*\x01{side}");
        for (chunk, content, is_small) in [
            ("VP8 ", lossy("\x0a\0\x0a\0"), true),
            ("VP8 ", lossy("\x7f\x3f\x7f\x3f"), false),
            ("VP8L", "\x2f\x7f\x7f\x7f\x0f".to_owned(), false),
            ("VP8L", "\x2f\0\0\0\0".to_owned(), true),
        ] {
            let bytes = file(&[(chunk, content.len() as u32, &content)]);
            assert_eq!(check(&bytes).is_ok(), is_small, "{chunk}");
            let length = content.len() as u8;
            let frame =
                format!("{}{chunk}{}\0\0\0{content}", "\0".repeat(FRAME_HEADER_BYTES), char::from(length));
            let bytes = file(&[("ANMF", frame.len() as u32, &frame)]);
            assert_eq!(check(&bytes).is_ok(), is_small, "{chunk} in a frame");
        }
    }
}
