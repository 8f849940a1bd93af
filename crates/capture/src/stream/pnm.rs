//! Binary PGM and PPM files one after the other: `P5` or `P6`, then width, height and the largest sample
//! value in decimal with white space and `#` comments before each, one byte of white space, and the samples,
//! two bytes each if the largest value is over 255.

use super::split::{SplitItem, StreamSplitter};
use crate::CapturedImage;

/// The longest header in bytes, comments included.
const MAX_HEADER_BYTES: usize = 1024;

/// Splits a stream into files.
#[derive(Debug)]
pub(crate) struct PnmSplitter {
    /// Maximum number of bytes per file.
    limit: usize,
    /// Length of the current file in bytes, once its header is complete.
    file_bytes: Option<usize>,
}

enum HeaderResult {
    More,
    Wrong,
    /// Bytes of header and samples.
    Len(usize),
}

impl PnmSplitter {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, file_bytes: None }
    }
}

impl StreamSplitter for PnmSplitter {
    fn split(&mut self, bytes: &[u8]) -> SplitItem {
        if self.file_bytes.is_none() {
            if !is_start(bytes) {
                return skip_to_start(bytes);
            }
            match parse_header(&bytes[..bytes.len().min(MAX_HEADER_BYTES)]) {
                HeaderResult::Len(len) if len <= self.limit => self.file_bytes = Some(len),
                HeaderResult::More if bytes.len() < MAX_HEADER_BYTES => return SplitItem::NeedsMore,
                _ => return SplitItem::Damaged(2),
            }
        }
        match self.file_bytes {
            Some(len) if len <= bytes.len() => {
                self.file_bytes = None;
                SplitItem::Complete(len)
            }
            _ => SplitItem::NeedsMore,
        }
    }

    fn give_up(&mut self, bytes: &[u8], _has_ended: bool) -> SplitItem {
        self.file_bytes = None;
        if is_start(bytes) { SplitItem::Damaged(2) } else { SplitItem::Garbage(bytes.len()) }
    }

    fn image(&self, bytes: &[u8]) -> CapturedImage {
        CapturedImage::from_encoded(bytes.to_vec())
    }
}

/// Returns whether the bytes can be the beginning of a file.
fn is_start(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'5' | b'6', next, ..] if next.is_ascii_whitespace() || *next == b'#')
}

/// Skips the bytes before a start, or all bytes that cannot begin one.
fn skip_to_start(bytes: &[u8]) -> SplitItem {
    let start = (0..bytes.len()).find(|&offset| {
        let rest = &bytes[offset..];
        is_start(rest) || matches!(rest, [b'P'] | [b'P', b'5' | b'6'])
    });
    match start {
        Some(0) => SplitItem::NeedsMore,
        Some(offset) => SplitItem::Garbage(offset),
        None => SplitItem::Garbage(bytes.len()),
    }
}

/// Parses a header.
fn parse_header(bytes: &[u8]) -> HeaderResult {
    let (mut offset, mut numbers) = (2, [0_usize; 3]);
    for number in &mut numbers {
        let Some(start) = skip_white_space(bytes, offset) else { return HeaderResult::More };
        let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        offset = start + digits;
        if offset == bytes.len() && digits < 9 {
            return HeaderResult::More;
        }
        // Nine digits exceed every limit, and eight cannot overflow.
        match std::str::from_utf8(&bytes[start..offset]).map(str::parse) {
            Ok(Ok(value)) if digits < 9 && value > 0 => *number = value,
            _ => return HeaderResult::Wrong,
        }
    }
    if !bytes[offset].is_ascii_whitespace() {
        return HeaderResult::Wrong;
    }
    let [width, height, max_value] = numbers;
    let sample_bytes = match max_value {
        1..=255 => 1,
        256..=65535 => 2,
        _ => return HeaderResult::Wrong,
    };
    let pixel_bytes = if bytes[1] == b'6' { 3 * sample_bytes } else { sample_bytes };
    let len = (width * pixel_bytes).checked_mul(height).and_then(|samples| samples.checked_add(offset + 1));
    len.map_or(HeaderResult::Wrong, HeaderResult::Len)
}

/// Returns the offset behind the white space and comments that begin at `offset`; `None` if more bytes are
/// needed.
fn skip_white_space(bytes: &[u8], mut offset: usize) -> Option<usize> {
    loop {
        match bytes.get(offset)? {
            b'#' => offset += bytes[offset..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?,
            byte if byte.is_ascii_whitespace() => offset += 1,
            _ => return Some(offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bytes: &[u8]) -> SplitItem {
        PnmSplitter::new(1000).split(bytes)
    }

    #[test]
    fn the_header_gives_the_length_of_a_file() {
        for (bytes, len) in [
            (&b"P5 2 3 255 123456rest"[..], 17),
            (b"P6\n#by a camera\n1 #wide\n2 7\n123456P6", 34),
            (b"P5\r\n1\t2\n65535\n1234", 18),
        ] {
            assert_eq!(first(bytes), SplitItem::Complete(len), "{}", bytes.escape_ascii());
            for prefix_len in 1..len {
                assert_eq!(
                    first(&bytes[..prefix_len]),
                    SplitItem::NeedsMore,
                    "{}",
                    bytes[..prefix_len].escape_ascii()
                );
            }
        }
    }

    #[test]
    fn an_invalid_header_is_damage() {
        for bytes in [
            "P5 x",
            "P5 0 1 255 ",
            "P5 1 1 0 ",
            "P5 1 1 65536 ",
            "P5 1 1 255x",
            "P5 123456789 1 255 ",
            "P6 400 400 255 ",
            "P5 -1 2 255 ",
        ] {
            assert_eq!(first(bytes.as_bytes()), SplitItem::Damaged(2), "{bytes}");
        }
        assert_eq!(first(&[b"P5 #".as_slice(), &[b'x'; MAX_HEADER_BYTES]].concat()), SplitItem::Damaged(2));
    }

    #[test]
    fn garbage_ends_where_a_file_may_begin() {
        assert_eq!(first(b"PP5PP6 "), SplitItem::Garbage(4));
        assert_eq!(first(b"xyP5"), SplitItem::Garbage(2));
        assert_eq!(first(b"xyP"), SplitItem::Garbage(2));
        assert_eq!(first(b"xyP4"), SplitItem::Garbage(4));
    }
}
