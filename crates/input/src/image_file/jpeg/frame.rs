//! The frame header: size, components and coding process (ITU-T T.81, B.2.2). Processes that are not read are refused
//! by their names.

use super::{
    super::ImageFileError,
    invalid,
    layout::{DEFINE_NUMBER_OF_LINES, JpegLayout, Segment},
};

/// A component of the image, such as its luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Component {
    /// The identifier by which scans refer to it.
    pub(super) id: u8,
    /// Horizontal sampling factor, 1 to 4.
    pub(super) horizontal: u32,
    /// Vertical sampling factor, 1 to 4.
    pub(super) vertical: u32,
}

/// The frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Whether the image is coded progressively.
    pub(super) is_progressive: bool,
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels, from the segment that defines it if the header does not.
    pub(super) height: u32,
    /// The components, one, three or four.
    pub(super) components: Vec<Component>,
}

impl Frame {
    /// Returns the frame header of a file.
    ///
    /// # Errors
    /// [`ImageFileError::Unsupported`] for a coding process that is not read, [`ImageFileError::Decode`] for an invalid
    /// header, [`ImageFileError::Damaged`] if the file ends before it.
    pub(super) fn find(layout: &JpegLayout<'_>) -> Result<Self, ImageFileError> {
        for segment in &layout.segments {
            if let Some((kind, fix)) = unsupported_process(segment.marker) {
                return Err(ImageFileError::Unsupported { kind, fix });
            }
            if matches!(segment.marker, 0xc0..=0xc2) {
                let mut frame = parse(segment.payload)?;
                frame.is_progressive = segment.marker == 0xc2;
                if frame.height == 0 {
                    frame.height = defined_height(layout)?;
                }
                return Ok(frame);
            }
        }
        let reason = layout.damage.unwrap_or("the data ends before the header of the image");
        Err(if layout.has_end { invalid("it has no frame header") } else { ImageFileError::damaged(reason) })
    }

    /// Returns the largest sampling factors of all components, horizontal and vertical.
    pub(super) fn max_sampling(&self) -> (u32, u32) {
        let horizontal = self.components.iter().map(|component| component.horizontal).max();
        let vertical = self.components.iter().map(|component| component.vertical).max();
        (horizontal.unwrap_or(1), vertical.unwrap_or(1))
    }

    /// Returns the number of minimum coded units of an interleaved scan, in columns and rows.
    pub(super) fn units(&self) -> (u32, u32) {
        let (horizontal, vertical) = self.max_sampling();
        (self.width.div_ceil(8 * horizontal), self.height.div_ceil(8 * vertical))
    }

    /// Returns the number of blocks of a component that contain pixels, in columns and rows. These are the units of a
    /// scan of this component alone.
    pub(super) fn blocks(&self, component: &Component) -> (u32, u32) {
        let (horizontal, vertical) = self.max_sampling();
        let width = (self.width * component.horizontal).div_ceil(horizontal);
        let height = (self.height * component.vertical).div_ceil(vertical);
        (width.div_ceil(8), height.div_ceil(8))
    }
}

/// Returns width and height that a segment declares; `None` if it is no frame header of any process.
pub(super) fn declared_size(segment: &Segment<'_>) -> Option<(u32, u32)> {
    let &[_, y1, y0, x1, x0] = segment.payload.first_chunk()?;
    let is_frame = matches!(segment.marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf);
    is_frame.then(|| (u16::from_be_bytes([x1, x0]).into(), u16::from_be_bytes([y1, y0]).into()))
}

/// Returns the name of a coding process that is not read, with advice.
fn unsupported_process(marker: u8) -> Option<(&'static str, &'static str)> {
    match marker {
        0xc9 | 0xca | 0xcc => Some((
            "JPEG with arithmetic coding",
            "convert it without loss, for example with `jpegtran -copy all in.jpg > out.jpg`",
        )),
        0xc3 | 0xc5..=0xc7 | 0xcb | 0xcd..=0xcf | 0xde | 0xdf => {
            Some(("lossless or hierarchical JPEG", "convert it to PNG, or to baseline or progressive JPEG"))
        }
        _ => None,
    }
}

fn parse(payload: &[u8]) -> Result<Frame, ImageFileError> {
    let Some((&[precision, y1, y0, x1, x0, count], rest)) = payload.split_first_chunk() else {
        return Err(invalid("the frame header is too short"));
    };
    if precision == 12 {
        let (kind, fix) =
            ("JPEG with 12 bits per sample", "convert it to PNG with 16 bits, or to JPEG with 8 bits");
        return Err(ImageFileError::Unsupported { kind, fix });
    }
    if precision != 8 || rest.len() != 3 * usize::from(count) {
        return Err(invalid("the frame header has an impossible precision or length"));
    }
    if !matches!(count, 1 | 3 | 4) {
        let (kind, fix) =
            ("JPEG with two, or more than four components", "convert it to JPEG in grey or RGB");
        return Err(ImageFileError::Unsupported { kind, fix });
    }
    let components: Vec<Component> = rest
        .chunks_exact(3)
        .map(|entry| Component {
            id: entry[0],
            horizontal: u32::from(entry[1] >> 4),
            vertical: u32::from(entry[1] & 15),
        })
        .collect();
    let are_factors_valid = components
        .iter()
        .all(|component| (1..=4).contains(&component.horizontal) && (1..=4).contains(&component.vertical));
    let width = u32::from(u16::from_be_bytes([x1, x0]));
    if !are_factors_valid || width == 0 {
        return Err(invalid("the frame header has an impossible width or sampling factor"));
    }
    Ok(Frame { is_progressive: false, width, height: u32::from(u16::from_be_bytes([y1, y0])), components })
}

/// Returns the height of an image whose frame header leaves it to the segment behind the first scan (B.2.5).
fn defined_height(layout: &JpegLayout<'_>) -> Result<u32, ImageFileError> {
    let segment = layout.segments.iter().find(|segment| segment.marker == DEFINE_NUMBER_OF_LINES);
    match segment.and_then(|segment| segment.payload.first_chunk()) {
        Some(&height) if height != [0, 0] => Ok(u32::from(u16::from_be_bytes(height))),
        None if !layout.has_end => {
            Err(ImageFileError::damaged("the data ends before the height of the image"))
        }
        _ => Err(invalid("it has no height")),
    }
}
