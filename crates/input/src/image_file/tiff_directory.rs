//! The first directory of a TIFF file (TIFF 6.0), as far as the decoder trusts it before it has seen the rest of the file:
//! it allocates as many values as an entry declares, one row of a tile, and the size of every JPEG image inside.

use std::collections::BTreeMap;

use image::{
    ImageError,
    error::{LimitError, LimitErrorKind},
};

use super::{
    ImageFileError,
    jpeg::frame_sizes,
    limits::{check_image_size, max_decoder_bytes},
    tiff_tags::{TagValue, TiffTags},
};
use crate::limits::InputLimits;

const IMAGE_WIDTH: u16 = 256;
const BITS_PER_SAMPLE: u16 = 258;
pub(super) const COMPRESSION: u16 = 259;
/// The meaning of the samples.
pub(super) const PHOTOMETRIC: u16 = 262;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES_PER_PIXEL: u16 = 277;
const STRIP_BYTE_COUNTS: u16 = 279;
const TILE_WIDTH: u16 = 322;
const TILE_LENGTH: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTE_COUNTS: u16 = 325;
/// The tags whose values the decoder reads. Others may be damaged without effect on the image.
const READ_TAGS: [u16; 19] = [
    IMAGE_WIDTH,
    257, // height
    BITS_PER_SAMPLE,
    COMPRESSION,
    PHOTOMETRIC,
    STRIP_OFFSETS,
    SAMPLES_PER_PIXEL,
    278, // rows per strip
    STRIP_BYTE_COUNTS,
    284, // arrangement of the samples
    317, // predictor
    TILE_WIDTH,
    TILE_LENGTH,
    TILE_OFFSETS,
    TILE_BYTE_COUNTS,
    338, // meaning of further samples
    339, // format of the samples
    347, // JPEG tables
    530, // subsampling of the colours
];
/// The value of [`COMPRESSION`] that stands for JPEG.
pub(super) const JPEG: u64 = 7;
/// Maximum number of bytes that the decoder allocates for one value of an entry, in two lists.
const VALUE_BYTES: u64 = 64;

/// Checks that the first directory is within the file, and that nothing that it declares is over the limits. A file
/// without a valid header is left to the decoder.
///
/// # Errors
/// [`ImageFileError::Damaged`] with the entry that is cut off, or the error of a size over a limit.
pub(super) fn check_tiff_directory(bytes: &[u8], limits: &InputLimits) -> Result<(), ImageFileError> {
    let Some(directory) = Directory::read(bytes, limits)? else { return Ok(()) };
    directory.check_rows(limits)?;
    if directory.largest(COMPRESSION) == Some(JPEG) {
        check_jpeg_parts(bytes, &directory, limits)?;
    }
    Ok(())
}

/// The values that the decoder reads, by their tags.
struct Directory<'a>(BTreeMap<u16, TagValue<'a>>);

impl<'a> Directory<'a> {
    /// Reads the first directory; `None` without a valid header. Like in the decoder, the last of several entries with the
    /// same tag counts, and an entry of an unknown kind does not.
    fn read(bytes: &'a [u8], limits: &InputLimits) -> Result<Option<Self>, ImageFileError> {
        let Some((tags, first)) = TiffTags::parse(bytes) else { return Ok(None) };
        let mut last = BTreeMap::new();
        for entry in tags.entries(first).filter(|entry| READ_TAGS.contains(&entry.tag)) {
            if let Some(length) = tags.length(entry) {
                last.insert(entry.tag, (entry, length));
            }
        }
        let mut values = BTreeMap::new();
        for (tag, (entry, length)) in last {
            let value = tags.value_of(entry).ok_or_else(|| {
                ImageFileError::damaged(format!(
                    "the tag {tag} has {length} bytes, and they end behind the file"
                ))
            })?;
            if value.count().saturating_mul(VALUE_BYTES) > max_decoder_bytes(limits) {
                return Err(over_memory());
            }
            values.insert(tag, value);
        }
        Ok(Some(Self(values)))
    }

    /// Checks the size of the tiles, and the length of one row with all its samples.
    fn check_rows(&self, limits: &InputLimits) -> Result<(), ImageFileError> {
        let [width, height] = [TILE_WIDTH, TILE_LENGTH].map(|tag| self.largest(tag).unwrap_or(0));
        let [width, height] = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        check_image_size(width, height, limits)?;
        let row = self.largest(IMAGE_WIDTH).unwrap_or(0).max(width.into());
        let [samples, bits] = [SAMPLES_PER_PIXEL, BITS_PER_SAMPLE].map(|tag| self.largest(tag).unwrap_or(1));
        if row.saturating_mul(samples.saturating_mul(bits)).div_ceil(8) > max_decoder_bytes(limits) {
            return Err(over_memory());
        }
        Ok(())
    }

    fn largest(&self, tag: u16) -> Option<u64> {
        self.numbers(tag).max()
    }

    fn numbers(&self, tag: u16) -> impl Iterator<Item = u64> {
        self.0.get(&tag).into_iter().flat_map(TagValue::numbers)
    }
}

/// Checks the sizes of the JPEG images that the strips or tiles of a file are. Parts of the file that several of them share
/// are refused, because walking over them could take for ever.
fn check_jpeg_parts(
    bytes: &[u8],
    directory: &Directory<'_>,
    limits: &InputLimits,
) -> Result<(), ImageFileError> {
    let mut walked = 0_u64;
    for (offsets, counts) in [(STRIP_OFFSETS, STRIP_BYTE_COUNTS), (TILE_OFFSETS, TILE_BYTE_COUNTS)] {
        for (offset, count) in directory.numbers(offsets).zip(directory.numbers(counts)) {
            walked = walked.saturating_add(count);
            if walked > bytes.len() as u64 {
                return Err(ImageFileError::damaged("its strips or tiles are longer than the file"));
            }
            let part = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
            let length = usize::try_from(count).map_or(part.len(), |count| count.min(part.len()));
            for (width, height) in frame_sizes(&part[..length])? {
                check_image_size(width, height, limits)?;
            }
        }
    }
    Ok(())
}

fn over_memory() -> ImageFileError {
    ImageFileError::Decode(ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: InputLimits = InputLimits {
        max_pixels: 100,
        max_side: 100,
        max_values: 100,
        max_inputs: 1,
        max_file_bytes: 1 << 20,
    };
    const SHORT: u16 = 3;
    const LONG: u16 = 4;

    /// Returns a file of a directory with these entries of tag, kind, count, and value or offset, and bytes behind it.
    fn file(entries: &[(u16, u16, u32, u32)], behind: &[u8]) -> Vec<u8> {
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            bytes.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes()].concat());
            bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
        }
        bytes.extend([0; 4]);
        bytes.extend(behind);
        bytes
    }

    fn error(entries: &[(u16, u16, u32, u32)], behind: &[u8]) -> Option<String> {
        check_tiff_directory(&file(entries, behind), &LIMITS).err().map(|error| error.to_string())
    }

    #[test]
    fn values_within_the_file_are_accepted() {
        assert_eq!(error(&[], &[]), None);
        assert_eq!(error(&[(IMAGE_WIDTH, LONG, 1, 10), (STRIP_OFFSETS, LONG, 3, 8)], &[]), None);
        assert_eq!(error(&[(700, LONG, u32::MAX, 0)], &[]), None, "the decoder does not read this tag");
        assert_eq!(
            error(&[(STRIP_OFFSETS, 99, u32::MAX, 0)], &[]),
            None,
            "the decoder does not know this kind"
        );
        assert!(check_tiff_directory(b"II", &LIMITS).is_ok());
    }

    #[test]
    fn a_value_behind_the_end_is_named() {
        let found = error(&[(STRIP_OFFSETS, LONG, 8_000_000, 8)], &[]).unwrap();
        assert!(found.contains("the tag 273 has 32000000 bytes"), "{found}");
    }

    #[test]
    fn the_last_entry_of_a_tag_counts() {
        let [short, long] = [(STRIP_OFFSETS, LONG, 1, 8), (STRIP_OFFSETS, LONG, 8_000_000, 8)];
        assert_eq!(error(&[long, short], &[]), None);
        assert!(error(&[short, long], &[]).is_some());
    }

    #[test]
    fn more_values_than_the_memory_holds_are_refused() {
        let count = (max_decoder_bytes(&LIMITS) / VALUE_BYTES) as u32;
        let behind = vec![0; 2 * count as usize];
        assert_eq!(error(&[(STRIP_OFFSETS, SHORT, count, 8)], &behind), None);
        assert!(error(&[(STRIP_OFFSETS, SHORT, count + 1, 8)], &behind).unwrap().contains("emory"));
    }

    #[test]
    fn tiles_and_rows_have_limits() {
        for (tag, kind) in [(TILE_WIDTH, LONG), (TILE_LENGTH, SHORT)] {
            assert_eq!(error(&[(tag, kind, 1, 100)], &[]), None);
            assert!(error(&[(tag, kind, 1, 101)], &[]).unwrap().contains("per side"));
        }
        let row = |bits| error(&[(IMAGE_WIDTH, LONG, 1, 1 << 20), (BITS_PER_SAMPLE, SHORT, 1, bits)], &[]);
        assert_eq!(row(128), None);
        assert!(row(256).unwrap().contains("emory"));
    }

    #[test]
    fn the_size_of_a_jpeg_image_inside_counts() {
        let part = |width| [0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 10, 0, width, 1, 1, 0x11, 0];
        let entries = |offset, count| {
            [
                (COMPRESSION, SHORT, 1, 7),
                (STRIP_OFFSETS, LONG, 1, offset),
                (STRIP_BYTE_COUNTS, LONG, 1, count),
            ]
        };
        let offset = file(&entries(0, 0), &[]).len() as u32;
        assert_eq!(error(&entries(offset, 15), &part(10)), None);
        assert!(error(&entries(offset, 15), &part(11)).unwrap().contains("11×10"));
        assert!(error(&entries(offset, 1000), &part(10)).unwrap().contains("longer than the file"));
    }
}
