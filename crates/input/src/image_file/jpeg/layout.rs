//! The segments of a JPEG file (ITU-T T.81, annex B), without a look at their content.
//!
//! The walk goes by the lengths of the segments, so that a thumbnail inside an application segment is not mistaken for
//! the image. It ends at the first end of image, because some cameras append further images. Bytes between segments
//! are skipped, as other decoders do.

use super::super::ImageFileError;
use super::invalid;

pub(super) const START_OF_IMAGE: u8 = 0xd8;
pub(super) const END_OF_IMAGE: u8 = 0xd9;
pub(super) const START_OF_SCAN: u8 = 0xda;
pub(super) const DEFINE_HUFFMAN_TABLES: u8 = 0xc4;
pub(super) const DEFINE_NUMBER_OF_LINES: u8 = 0xdc;
pub(super) const DEFINE_RESTART_INTERVAL: u8 = 0xdd;
pub(super) const FIRST_RESTART: u8 = 0xd0;
pub(super) const LAST_RESTART: u8 = 0xd7;

/// The longest payload of a segment: its length has two bytes and counts itself.
pub(super) const MAX_PAYLOAD: usize = 0xffff - 2;
/// Maximum number of segments; files of cameras have fewer than 300.
const MAX_SEGMENTS: usize = 4096;

/// A marker with its parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    /// The second byte of the marker.
    pub(super) marker: u8,
    /// The bytes behind the length.
    pub(super) payload: &'a [u8],
    /// Behind a start of scan, the entropy-coded data with its restart markers; otherwise empty.
    pub(super) data: &'a [u8],
}

/// The segments of a file.
#[derive(Debug)]
pub(super) struct JpegLayout<'a> {
    /// The segments in order, without start and end of image.
    pub(super) segments: Vec<Segment<'a>>,
    /// Whether the end of image was found.
    pub(super) has_end: bool,
    /// The reason why the walk ended early.
    pub(super) damage: Option<&'static str>,
}

impl<'a> JpegLayout<'a> {
    /// Walks over a file that begins with a start of image.
    ///
    /// # Errors
    /// [`ImageFileError::Decode`] for more segments than any image needs.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ImageFileError> {
        let mut layout = Self { segments: Vec::new(), has_end: false, damage: None };
        let mut rest = bytes.get(2..).unwrap_or_default();
        while let Some((marker, behind)) = next_marker(rest) {
            match marker {
                END_OF_IMAGE => {
                    layout.has_end = true;
                    return Ok(layout);
                }
                START_OF_IMAGE => break,
                // Without parameters, and meaningless here.
                0x01 | FIRST_RESTART..=LAST_RESTART => {
                    rest = behind;
                    continue;
                }
                _ => {}
            }
            if layout.segments.len() == MAX_SEGMENTS {
                return Err(invalid("it has more than 4096 segments"));
            }
            let Some((payload, behind)) = split_payload(behind) else {
                layout.damage = Some("the data ends inside a header");
                return Ok(layout);
            };
            let data_len = if marker == START_OF_SCAN { scan_len(behind) } else { 0 };
            let (data, behind) = behind.split_at(data_len);
            layout.segments.push(Segment { marker, payload, data });
            rest = behind;
        }
        Ok(layout)
    }
}

/// Returns the next marker and the bytes behind it. Bytes that belong to no marker are skipped.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let start = bytes.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff))?;
    Some((bytes[start + 1], &bytes[start + 2..]))
}

fn split_payload(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    let payload = bytes.get(2..length)?;
    Some((payload, &bytes[length..]))
}

/// Returns the length of the entropy-coded data at the start of the bytes.
fn scan_len(bytes: &[u8]) -> usize {
    let mut offset = 0;
    while let Some(found) = bytes[offset..].iter().position(|&byte| byte == 0xff) {
        offset += found;
        match bytes.get(offset + 1) {
            Some(0x00 | FIRST_RESTART..=LAST_RESTART) => offset += 2,
            // A fill byte.
            Some(0xff) => offset += 1,
            Some(_) => return offset,
            None => break,
        }
    }
    bytes.len()
}
