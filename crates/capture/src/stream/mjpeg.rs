//! JPEG files one after the other, with anything between them: the parts of a `multipart/x-mixed-replace`
//! response, or nothing.
//!
//! The parser walks a file segment by segment, from SOI to the EOI at the same level. A thumbnail is inside
//! an application segment, which is skipped by its length, so its EOI does not end the file. If the walk
//! meets bytes that cannot occur there, the file is damaged. The last segment misled it: the search for the
//! next file starts inside that segment, since the earlier ones were confirmed by the marker behind them. A
//! truncated file therefore does not swallow the next one, unless the length of its last segment happens to
//! end at a marker of that next file. Each byte is walked over at most once.
//!
//! A file whose entropy-coded data is followed by the next file, or by the end of the stream, is passed on as truncated:
//! some cameras leave out the EOI, and otherwise the decoder finds what is missing, as in a file that was cut off.

use super::split::{SplitItem, StreamSplitter, skip_to};
use crate::CapturedImage;

/// First bytes of every file: SOI, and the first byte of the next marker.
const START_BYTES: [u8; 3] = [0xff, 0xd8, 0xff];
/// The longest segment of tables in bytes: four 16-bit quantisation tables or eight Huffman tables are
/// shorter.
const MAX_TABLES_BYTES: usize = 4096;

/// The state of the walk through a file.
#[derive(Debug, Default)]
pub(crate) struct MjpegSplitter {
    /// Offset at which the walk continues; 0 if no file has begun.
    offset: usize,
    /// Offset of the last segment behind its marker, or the offset up to which the entropy-coded data
    /// contains no start of a file.
    last_segment: usize,
    /// Whether `at` is in entropy-coded data.
    in_scan: bool,
    /// Whether there was entropy-coded data: a file without any does not contain an image.
    has_scan: bool,
    /// Whether there was a header with the size of an image.
    has_frame: bool,
}

/// The result of one step of the walk.
enum WalkStep {
    On,
    More,
    End,
    /// The next file begins, but this one has not ended.
    Cut,
    Damaged,
}

impl StreamSplitter for MjpegSplitter {
    fn split(&mut self, bytes: &[u8]) -> SplitItem {
        if self.offset == 0 {
            if !bytes.starts_with(&START_BYTES) {
                return skip_to(bytes, &START_BYTES);
            }
            (self.offset, self.last_segment) = (2, 2);
        }
        loop {
            let step = if self.in_scan { self.skip_scan(bytes) } else { self.skip_segment(bytes) };
            match step {
                WalkStep::On => {}
                WalkStep::More => return SplitItem::NeedsMore,
                WalkStep::End => return SplitItem::Complete(std::mem::take(self).offset),
                WalkStep::Cut => return SplitItem::Truncated(std::mem::take(self).offset),
                WalkStep::Damaged => return SplitItem::Damaged(std::mem::take(self).last_segment),
            }
        }
    }

    fn give_up(&mut self, bytes: &[u8], has_ended: bool) -> SplitItem {
        match std::mem::take(self) {
            Self { offset: 0, .. } => SplitItem::Garbage(bytes.len()),
            // All bytes are entropy-coded data, so that none of them begin another file.
            Self { in_scan: true, has_frame: true, .. } if has_ended => SplitItem::Truncated(bytes.len()),
            Self { last_segment: last, .. } => SplitItem::Damaged(last),
        }
    }

    fn image(&self, bytes: &[u8]) -> CapturedImage {
        CapturedImage::from_encoded(bytes.to_vec())
    }
}

impl MjpegSplitter {
    /// Skips a marker and its segment.
    fn skip_segment(&mut self, bytes: &[u8]) -> WalkStep {
        let Some(&[first, marker]) = bytes.get(self.offset..).and_then(<[u8]>::first_chunk) else {
            return WalkStep::More;
        };
        match (first, marker) {
            // A fill byte.
            (0xff, 0xff) => self.offset += 1,
            (0xff, 0xd9) if self.has_scan => {
                self.offset += 2;
                return WalkStep::End;
            }
            (0xff, 0xd8) if self.has_scan && self.has_frame => {
                return match bytes.get(self.offset + 2) {
                    None => WalkStep::More,
                    Some(0xff) => WalkStep::Cut,
                    Some(_) => WalkStep::Damaged,
                };
            }
            (0xff, 0x01 | 0xd0..=0xd7) => self.offset += 2,
            (0xff, 0xc0..=0xcf | 0xda..=0xfe) => return self.skip_payload(bytes, marker),
            _ => return WalkStep::Damaged,
        }
        WalkStep::On
    }

    fn skip_payload(&mut self, bytes: &[u8], marker: u8) -> WalkStep {
        let start = self.offset + 2;
        let Some(&length) = bytes.get(start..).and_then(<[u8]>::first_chunk) else { return WalkStep::More };
        let length = u16::from_be_bytes(length) as usize;
        let is_free_form = matches!(marker, 0xe0..=0xef | 0xfe);
        self.last_segment = start;
        if length < 2 || (!is_free_form && length > MAX_TABLES_BYTES) {
            return WalkStep::Damaged;
        }
        // Two bytes behind the segment must be available, so that a start is found whose first byte is in the
        // segment.
        let Some(segment) = bytes.get(start..start + length + 2) else { return WalkStep::More };
        if !is_free_form && segment.windows(3).any(|window| window == START_BYTES) {
            return WalkStep::Damaged;
        }
        self.offset = start + length;
        self.in_scan = marker == 0xda;
        self.has_scan |= self.in_scan;
        // C4, C8 and CC are tables and extensions.
        self.has_frame |= matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf);
        WalkStep::On
    }

    /// Skips entropy-coded data up to the marker that ends it.
    fn skip_scan(&mut self, bytes: &[u8]) -> WalkStep {
        while let Some(offset) =
            bytes.get(self.offset..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff))
        {
            self.offset += offset;
            self.last_segment = self.offset;
            match bytes.get(self.offset + 1) {
                None => return WalkStep::More,
                // A stuffed byte, or a restart marker.
                Some(0x00 | 0xd0..=0xd7) => self.offset += 2,
                Some(0xff) => self.offset += 1,
                Some(_) => {
                    self.in_scan = false;
                    return WalkStep::On;
                }
            }
        }
        (self.offset, self.last_segment) = (bytes.len(), bytes.len());
        WalkStep::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A well-formed file: an application segment that contains a small whole file, a table, and a scan with
    /// byte stuffing.
    fn sample_file(scan: &[u8]) -> Vec<u8> {
        let thumbnail = [0xff, 0xd8, 0xff, 0xda, 0, 2, 7, 0xff, 0xd9];
        let mut file = vec![0xff, 0xd8, 0xff, 0xe1, 0, 2 + thumbnail.len() as u8];
        file.extend(thumbnail);
        file.extend([0xff, 0xdb, 0, 4, 1, 2, 0xff, 0xff, 0xda, 0, 3, 9]);
        file.extend(scan);
        file.extend([0xff, 0xd9]);
        file
    }

    fn items(bytes: &[u8]) -> Vec<SplitItem> {
        let (mut splitter, mut rest, mut items) = (MjpegSplitter::default(), bytes, Vec::new());
        while !rest.is_empty() {
            let item = match splitter.split(rest) {
                SplitItem::NeedsMore => splitter.give_up(rest, true),
                item => item,
            };
            let (SplitItem::Garbage(count)
            | SplitItem::Damaged(count)
            | SplitItem::Truncated(count)
            | SplitItem::Complete(count)) = item
            else {
                panic!("{item:?}")
            };
            assert!(count > 0);
            rest = &rest[count..];
            items.push(item);
        }
        items
    }

    #[test]
    fn a_thumbnail_does_not_split() {
        let file = sample_file(&[1, 0xff, 0, 0xff, 0xd3, 0xff, 0xff, 0, 5]);
        assert_eq!(items(&file), [SplitItem::Complete(file.len())]);
    }

    #[test]
    fn a_progressive_file_has_several_scans() {
        let file = sample_file(&[1, 2, 0xff, 0xc4, 0, 3, 7, 0xff, 0xda, 0, 2, 8, 8]);
        assert_eq!(items(&file), [SplitItem::Complete(file.len())]);
    }

    #[test]
    fn a_truncated_file_does_not_spoil_the_next_one() {
        let file = sample_file(&[1, 2, 3, 4, 5, 6]);
        for len in 0..file.len() {
            let bytes = [&file[..len], &file[..], b"--boundary"].concat();
            let found = items(&bytes).contains(&SplitItem::Complete(file.len()));
            // If the length of the application segment happens to reach a marker of the thumbnail, or the one
            // behind the next SOI, the two files cannot be told apart.
            assert!(found || [7, 13].contains(&len), "{len}: {:?}", items(&bytes));
        }
    }

    #[test]
    fn a_file_without_its_end_is_passed_on_as_truncated() {
        let whole = sample_file(&[1, 2, 0xff, 0, 3]);
        let header = [0xff, 0xc0, 0, 3, 8];
        let whole = [&whole[..2], &header[..], &whole[2..]].concat();
        let cut = &whole[..whole.len() - 2];
        let bytes = [cut, &whole[..], cut].concat();
        let expected = [
            SplitItem::Truncated(cut.len()),
            SplitItem::Complete(whole.len()),
            SplitItem::Truncated(cut.len()),
        ];
        assert_eq!(items(&bytes), expected);
        // Over the limit, it is not known what would have followed.
        let mut splitter = MjpegSplitter::default();
        assert_eq!(splitter.split(cut), SplitItem::NeedsMore);
        assert!(matches!(splitter.give_up(cut, false), SplitItem::Damaged(_)));
    }

    #[test]
    fn an_impossible_length_does_not_wait_for_more_bytes() {
        assert_eq!(
            MjpegSplitter::default().split(&[0xff, 0xd8, 0xff, 0xdb, 0xff, 0xd8]),
            SplitItem::Damaged(4)
        );
        assert_eq!(MjpegSplitter::default().split(&[0xff, 0xd8, 0xff, 0xe0, 0, 1]), SplitItem::Damaged(4));
    }

    #[test]
    fn a_partial_start_marker_is_kept() {
        assert_eq!(MjpegSplitter::default().split(b"ab\xff"), SplitItem::Garbage(2));
        assert_eq!(MjpegSplitter::default().split(b"ab\xff\xd8"), SplitItem::Garbage(2));
        assert_eq!(MjpegSplitter::default().split(b"\xff\xd8"), SplitItem::NeedsMore);
    }
}
