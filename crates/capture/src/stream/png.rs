//! PNG files one after the other. A file is a signature and chunks, each with its length; the chunk `IEND` is the last
//! one (ISO/IEC 15948, section 5). Checksums are left to the decoder.
//!
//! A chunk that is cut off swallows bytes of the next file, and then something follows that is not a chunk. The search
//! for the next file therefore starts directly behind the signature of the damaged one.

use super::split::{SplitItem, StreamSplitter, skip_to};
use crate::CapturedImage;

/// The first bytes of every file.
pub(crate) const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// The largest length of a chunk.
const MAX_CHUNK_BYTES: u32 = 0x7fff_ffff;
/// Bytes of a chunk in addition to its content: length, kind and checksum.
const CHUNK_OVERHEAD: usize = 12;

/// Splits a stream into files.
#[derive(Debug, Default)]
pub(crate) struct PngSplitter {
    /// Offset of the next chunk; 0 if no file has begun.
    offset: usize,
}

impl StreamSplitter for PngSplitter {
    fn split(&mut self, bytes: &[u8]) -> SplitItem {
        if self.offset == 0 {
            if !bytes.starts_with(&SIGNATURE) {
                return skip_to(bytes, &SIGNATURE);
            }
            self.offset = SIGNATURE.len();
        }
        while let Some([length @ .., a, b, c, d]) =
            bytes.get(self.offset..).and_then(<[u8]>::first_chunk::<8>)
        {
            let (length, kind) = (u32::from_be_bytes(*length), [*a, *b, *c, *d]);
            // Another header belongs to the next file.
            let is_misplaced = (kind == *b"IHDR") != (self.offset == SIGNATURE.len());
            if is_misplaced || length > MAX_CHUNK_BYTES || !kind.iter().all(u8::is_ascii_alphabetic) {
                return self.give_up(bytes, false);
            }
            let end = self.offset + CHUNK_OVERHEAD + length as usize;
            if end > bytes.len() {
                return SplitItem::NeedsMore;
            }
            self.offset = end;
            if kind == *b"IEND" {
                self.offset = 0;
                return SplitItem::Complete(end);
            }
        }
        SplitItem::NeedsMore
    }

    fn give_up(&mut self, bytes: &[u8], _has_ended: bool) -> SplitItem {
        if std::mem::take(&mut self.offset) == 0 {
            SplitItem::Garbage(bytes.len())
        } else {
            SplitItem::Damaged(SIGNATURE.len())
        }
    }

    fn image(&self, bytes: &[u8]) -> CapturedImage {
        CapturedImage::from_encoded(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u32).to_be_bytes();
        [&length[..], &kind, content, &[1, 2, 3, 4]].concat()
    }

    fn sample_file() -> Vec<u8> {
        [SIGNATURE.to_vec(), chunk(*b"IHDR", &[7; 13]), chunk(*b"IDAT", &[9; 40]), chunk(*b"IEND", &[])]
            .concat()
    }

    #[test]
    fn a_file_ends_with_its_last_chunk() {
        let file = sample_file();
        let bytes = [&file[..], b"rest"].concat();
        assert_eq!(PngSplitter::default().split(&bytes), SplitItem::Complete(file.len()));
        for len in 8..file.len() {
            assert_eq!(PngSplitter::default().split(&file[..len]), SplitItem::NeedsMore, "{len}");
        }
        assert_eq!(PngSplitter::default().split(b"ab\x89PN"), SplitItem::Garbage(2));
    }

    #[test]
    fn a_file_that_is_cut_off_does_not_hide_the_next_one() {
        let file = sample_file();
        for len in 0..file.len() {
            let bytes = [&file[..len], &file[..]].concat();
            let (mut splitter, mut rest, mut is_found) = (PngSplitter::default(), &bytes[..], false);
            while !rest.is_empty() {
                let item = match splitter.split(rest) {
                    SplitItem::NeedsMore => splitter.give_up(rest, true),
                    item => item,
                };
                let (SplitItem::Garbage(count) | SplitItem::Damaged(count) | SplitItem::Complete(count)) =
                    item
                else {
                    panic!("{item:?}")
                };
                is_found |= item == SplitItem::Complete(file.len());
                rest = &rest[count..];
            }
            // If the length of the cut chunk happens to reach a further chunk of the next file, the two cannot be told
            // apart.
            assert!(is_found || len == 52, "{len}");
        }
    }
}
