//! JPEG files one after the other, with anything between them: the parts of a `multipart/x-mixed-replace`
//! response, or nothing.
//!
//! The parser walks a file segment by segment, from SOI to the EOI at the same level. A thumbnail is inside
//! an application segment, which is skipped by its length, so its EOI does not end the file. If the walk
//! meets bytes that cannot occur there, the file is damaged. The last segment misled it: the search for the
//! next file starts inside that segment, since the earlier ones were confirmed by the marker behind them. A
//! truncated file therefore does not swallow the next one, unless the length of its last segment happens to
//! end at a marker of that next file. Each byte is walked over at most once.

use super::cut::{Cut, Cutter};

/// First bytes of every file: SOI, and the first byte of the next marker.
const START: [u8; 3] = [0xff, 0xd8, 0xff];
/// The longest segment of tables in bytes: four 16-bit quantisation tables or eight Huffman tables are
/// shorter.
const MAX_TABLES: usize = 4096;

/// The state of the walk through a file.
#[derive(Debug, Default)]
pub(crate) struct Mjpeg {
    /// Offset at which the walk continues; 0 if no file has begun.
    at: usize,
    /// Offset of the last segment behind its marker, or the offset up to which the entropy-coded data
    /// contains no start of a file.
    last: usize,
    /// Whether `at` is in entropy-coded data.
    in_scan: bool,
    /// Whether there was entropy-coded data: a file without any does not contain an image.
    has_scan: bool,
}

/// The result of one step of the walk.
enum Step {
    On,
    More,
    End,
    Damaged,
}

impl Cutter for Mjpeg {
    fn cut(&mut self, bytes: &[u8]) -> Cut {
        if self.at == 0 {
            if !bytes.starts_with(&START) {
                return look_for_start(bytes);
            }
            (self.at, self.last) = (2, 2);
        }
        loop {
            let step = if self.in_scan { self.scan(bytes) } else { self.segment(bytes) };
            match step {
                Step::On => {}
                Step::More => return Cut::More,
                Step::End => return Cut::Whole(std::mem::take(self).at),
                Step::Damaged => return Cut::Damaged(std::mem::take(self).last),
            }
        }
    }

    fn give_up(&mut self, bytes: &[u8]) -> Cut {
        match std::mem::take(self) {
            Self { at: 0, .. } => Cut::Garbage(bytes.len()),
            Self { last, .. } => Cut::Damaged(last),
        }
    }
}

impl Mjpeg {
    /// Skips a marker and its segment.
    fn segment(&mut self, bytes: &[u8]) -> Step {
        let Some(&[first, marker]) = bytes.get(self.at..).and_then(<[u8]>::first_chunk) else {
            return Step::More;
        };
        match (first, marker) {
            // A fill byte.
            (0xff, 0xff) => self.at += 1,
            (0xff, 0xd9) if self.has_scan => {
                self.at += 2;
                return Step::End;
            }
            (0xff, 0x01 | 0xd0..=0xd7) => self.at += 2,
            (0xff, 0xc0..=0xcf | 0xda..=0xfe) => return self.payload(bytes, marker),
            _ => return Step::Damaged,
        }
        Step::On
    }

    fn payload(&mut self, bytes: &[u8], marker: u8) -> Step {
        let from = self.at + 2;
        let Some(&length) = bytes.get(from..).and_then(<[u8]>::first_chunk) else { return Step::More };
        let length = u16::from_be_bytes(length) as usize;
        let free = matches!(marker, 0xe0..=0xef | 0xfe);
        self.last = from;
        if length < 2 || (!free && length > MAX_TABLES) {
            return Step::Damaged;
        }
        // Two bytes behind the segment must be available, so that a start is found whose first byte is in the
        // segment.
        let Some(segment) = bytes.get(from..from + length + 2) else { return Step::More };
        if !free && segment.windows(3).any(|window| window == START) {
            return Step::Damaged;
        }
        self.at = from + length;
        self.in_scan = marker == 0xda;
        self.has_scan |= self.in_scan;
        Step::On
    }

    /// Skips entropy-coded data up to the marker that ends it.
    fn scan(&mut self, bytes: &[u8]) -> Step {
        while let Some(offset) =
            bytes.get(self.at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff))
        {
            self.at += offset;
            self.last = self.at;
            match bytes.get(self.at + 1) {
                None => return Step::More,
                // A stuffed byte, or a restart marker.
                Some(0x00 | 0xd0..=0xd7) => self.at += 2,
                Some(0xff) => self.at += 1,
                Some(_) => {
                    self.in_scan = false;
                    return Step::On;
                }
            }
        }
        (self.at, self.last) = (bytes.len(), bytes.len());
        Step::More
    }
}

/// Skips the bytes before a start, or all bytes that cannot begin one.
fn look_for_start(bytes: &[u8]) -> Cut {
    let found = bytes.windows(3).position(|window| window == START);
    let garbage = found.unwrap_or_else(|| {
        let kept = if bytes.ends_with(&START[..2]) { 2 } else { usize::from(bytes.ends_with(&START[..1])) };
        bytes.len() - kept
    });
    if garbage == 0 { Cut::More } else { Cut::Garbage(garbage) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A well-formed file: an application segment that contains a small whole file, a table, and a scan with
    /// byte stuffing.
    fn file(scan: &[u8]) -> Vec<u8> {
        let thumbnail = [0xff, 0xd8, 0xff, 0xda, 0, 2, 7, 0xff, 0xd9];
        let mut file = vec![0xff, 0xd8, 0xff, 0xe1, 0, 2 + thumbnail.len() as u8];
        file.extend(thumbnail);
        file.extend([0xff, 0xdb, 0, 4, 1, 2, 0xff, 0xff, 0xda, 0, 3, 9]);
        file.extend(scan);
        file.extend([0xff, 0xd9]);
        file
    }

    fn cuts(bytes: &[u8]) -> Vec<Cut> {
        let (mut cutter, mut rest, mut cuts) = (Mjpeg::default(), bytes, Vec::new());
        while !rest.is_empty() {
            let cut = match cutter.cut(rest) {
                Cut::More => cutter.give_up(rest),
                cut => cut,
            };
            let (Cut::Garbage(count) | Cut::Damaged(count) | Cut::Whole(count)) = cut else { panic!() };
            assert!(count > 0);
            rest = &rest[count..];
            cuts.push(cut);
        }
        cuts
    }

    #[test]
    fn a_thumbnail_does_not_cut() {
        let file = file(&[1, 0xff, 0, 0xff, 0xd3, 0xff, 0xff, 0, 5]);
        assert_eq!(cuts(&file), [Cut::Whole(file.len())]);
    }

    #[test]
    fn a_progressive_file_has_several_scans() {
        let file = file(&[1, 2, 0xff, 0xc4, 0, 3, 7, 0xff, 0xda, 0, 2, 8, 8]);
        assert_eq!(cuts(&file), [Cut::Whole(file.len())]);
    }

    #[test]
    fn a_file_that_was_cut_off_anywhere_does_not_take_the_next_one_with_it() {
        let whole = file(&[1, 2, 3, 4, 5, 6]);
        for len in 0..whole.len() {
            let bytes = [&whole[..len], &whole[..], b"--boundary"].concat();
            let found = cuts(&bytes).contains(&Cut::Whole(whole.len()));
            // If the length of the application segment happens to reach a marker of the thumbnail, or the one
            // behind the next SOI, the two files cannot be told apart.
            assert!(found || [7, 13].contains(&len), "{len}: {:?}", cuts(&bytes));
        }
    }

    #[test]
    fn a_length_that_cannot_be_does_not_wait_for_its_bytes() {
        assert_eq!(Mjpeg::default().cut(&[0xff, 0xd8, 0xff, 0xdb, 0xff, 0xd8]), Cut::Damaged(4));
        assert_eq!(Mjpeg::default().cut(&[0xff, 0xd8, 0xff, 0xe0, 0, 1]), Cut::Damaged(4));
    }

    #[test]
    fn what_may_be_the_beginning_of_a_start_is_kept() {
        assert_eq!(Mjpeg::default().cut(b"ab\xff"), Cut::Garbage(2));
        assert_eq!(Mjpeg::default().cut(b"ab\xff\xd8"), Cut::Garbage(2));
        assert_eq!(Mjpeg::default().cut(b"\xff\xd8"), Cut::More);
    }
}
