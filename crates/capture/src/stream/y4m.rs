//! YUV4MPEG2: a line with the size and the layout of all images, and then, for each image, a line that begins with
//! `FRAME` and the samples (man page yuv4mpeg(5) of the mjpegtools). A stream may begin anew, as after a program was
//! started again.

use super::{
    RawFormat, RawLayout, YuvColour, YuvRange,
    split::{SplitItem, StreamSplitter, skip_to},
};
use crate::CapturedImage;

/// The first bytes of every stream.
pub(crate) const MAGIC: &[u8] = b"YUV4MPEG2 ";
/// The first bytes of every image.
const FRAME: &[u8] = b"FRAME";
/// The longest line in bytes.
const MAX_LINE_BYTES: usize = 1024;

const BAD_HEADER: &str =
    "its header does not name a width and a height of 1 to 16384 pixels: check the program that writes it";
const BAD_COLOUR: &str = "its images are not 4:2:0, 4:2:2, 4:4:4 or grey with 8 bits per sample: convert them, for \
                          example with the option -pix_fmt yuv420p of ffmpeg";
const TOO_LARGE: &str = "its images are larger than the limit: scale them down";

/// Splits a stream into images.
#[derive(Debug)]
pub(crate) struct Y4mSplitter {
    /// Maximum number of bytes per image, with its line.
    limit: usize,
    /// The layout of the images; `None` before the header.
    layout: Option<RawLayout>,
}

impl Y4mSplitter {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, layout: None }
    }

    fn split_header(&mut self, bytes: &[u8]) -> SplitItem {
        let Some(line) = first_line(bytes) else {
            let is_line = bytes.len() < MAX_LINE_BYTES;
            return if is_line { SplitItem::NeedsMore } else { SplitItem::Refused(BAD_HEADER) };
        };
        match parse_header(line) {
            Ok(layout) if layout.image_bytes() + MAX_LINE_BYTES > self.limit => SplitItem::Refused(TOO_LARGE),
            Ok(layout) => {
                self.layout = Some(layout);
                SplitItem::Header(line.len() + 1)
            }
            Err(reason) => SplitItem::Refused(reason),
        }
    }
}

impl StreamSplitter for Y4mSplitter {
    fn split(&mut self, bytes: &[u8]) -> SplitItem {
        if bytes.starts_with(MAGIC) {
            return self.split_header(bytes);
        }
        if MAGIC.starts_with(bytes) {
            return SplitItem::NeedsMore;
        }
        let Some(layout) = self.layout else { return skip_to(bytes, MAGIC) };
        if !bytes.starts_with(FRAME) {
            return if FRAME.starts_with(bytes) { SplitItem::NeedsMore } else { skip_to_next(bytes) };
        }
        match first_line(bytes).map(|line| line.len() + 1 + layout.image_bytes()) {
            Some(total) if total <= bytes.len() => SplitItem::Complete(total),
            None if bytes.len() >= MAX_LINE_BYTES => SplitItem::Damaged(FRAME.len()),
            _ => SplitItem::NeedsMore,
        }
    }

    fn give_up(&mut self, bytes: &[u8], _has_ended: bool) -> SplitItem {
        if bytes.starts_with(FRAME) {
            SplitItem::Damaged(bytes.len())
        } else {
            SplitItem::Garbage(bytes.len())
        }
    }

    fn image(&self, bytes: &[u8]) -> CapturedImage {
        let samples = first_line(bytes).and_then(|line| bytes.get(line.len() + 1..)).unwrap_or_default();
        match self.layout {
            Some(layout) => CapturedImage::from_raw(layout, samples.to_vec()),
            None => CapturedImage::from_encoded(bytes.to_vec()),
        }
    }
}

/// Skips the bytes before the next image or the next header.
fn skip_to_next(bytes: &[u8]) -> SplitItem {
    match (skip_to(bytes, FRAME), skip_to(bytes, MAGIC)) {
        (SplitItem::Garbage(image), SplitItem::Garbage(header)) => SplitItem::Garbage(image.min(header)),
        _ => SplitItem::NeedsMore,
    }
}

/// Returns the first line without its line feed; `None` if it is not complete or too long.
fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    let line = bytes.iter().take(MAX_LINE_BYTES).position(|&byte| byte == b'\n')?;
    Some(&bytes[..line])
}

/// Parses the header line.
fn parse_header(line: &[u8]) -> Result<RawLayout, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| BAD_HEADER)?;
    let (mut width, mut height, mut format, mut colour) =
        (None, None, RawFormat::Yuv420p, YuvColour::default());
    for field in text.split(' ').skip(1) {
        match field.split_at_checked(1) {
            Some(("W", value)) => width = value.parse().ok(),
            Some(("H", value)) => height = value.parse().ok(),
            Some(("C", value)) => format = parse_format(value).ok_or(BAD_COLOUR)?,
            Some(("X", "COLORRANGE=FULL")) => colour.range = YuvRange::Full,
            _ => {}
        }
    }
    let (Some(width), Some(height)) = (width, height) else { return Err(BAD_HEADER) };
    let layout = RawLayout::new(width, height, format).map_err(|_| BAD_HEADER)?;
    Ok(layout.with_colour(colour))
}

fn parse_format(value: &str) -> Option<RawFormat> {
    match value {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Some(RawFormat::Yuv420p),
        "422" => Some(RawFormat::Yuv422p),
        "444" => Some(RawFormat::Yuv444p),
        "mono" => Some(RawFormat::Grey8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_gives_the_layout() {
        let layout = parse_header(b"YUV4MPEG2 W3 H2 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG").unwrap();
        assert_eq!(layout, RawLayout::new(3, 2, RawFormat::Yuv420p).unwrap());
        let full = parse_header(b"YUV4MPEG2 W4 H2 C444 XCOLORRANGE=FULL").unwrap();
        let colour = YuvColour { range: YuvRange::Full, ..YuvColour::default() };
        assert_eq!(full, RawLayout::new(4, 2, RawFormat::Yuv444p).unwrap().with_colour(colour));
        for (header, reason) in [
            (&b"YUV4MPEG2 W3"[..], BAD_HEADER),
            (b"YUV4MPEG2 W0 H2", BAD_HEADER),
            (b"YUV4MPEG2 W3 H99999", BAD_HEADER),
            (b"YUV4MPEG2 W3 H2 C420p10", BAD_COLOUR),
            (b"YUV4MPEG2 W3 H2 C444alpha", BAD_COLOUR),
        ] {
            assert_eq!(parse_header(header), Err(reason), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn images_follow_the_header_and_a_stream_may_begin_anew() {
        let stream = b"YUV4MPEG2 W2 H1 Cmono\nFRAME\n12FRAME Ip\n34?YUV4MPEG2 W1 H1 Cmono\nFRAME\n5FRA";
        let (mut splitter, mut rest, mut items) = (Y4mSplitter::new(4096), &stream[..], Vec::new());
        while !rest.is_empty() {
            let item = match splitter.split(rest) {
                SplitItem::NeedsMore => splitter.give_up(rest, true),
                item => item,
            };
            let (SplitItem::Garbage(count)
            | SplitItem::Header(count)
            | SplitItem::Damaged(count)
            | SplitItem::Complete(count)) = item
            else {
                panic!("{item:?}")
            };
            if let SplitItem::Complete(count) = item {
                items.push(splitter.image(&rest[..count]).bytes().unwrap().to_vec());
            }
            rest = &rest[count..];
        }
        assert_eq!(items, [&b"12"[..], b"34", b"5"]);
    }

    #[test]
    fn images_over_the_limit_are_refused_before_they_are_read() {
        let header = b"YUV4MPEG2 W1000 H1000 C420\n";
        assert_eq!(Y4mSplitter::new(4096).split(header), SplitItem::Refused(TOO_LARGE));
        assert_eq!(
            Y4mSplitter::new(4096).split(&[MAGIC, &[b'x'; 1024]].concat()),
            SplitItem::Refused(BAD_HEADER)
        );
    }
}
