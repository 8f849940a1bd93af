//! The frame of a picture, version 2.
//!
//! ```text
//! magic            1 byte    0x4c, 'L'
//! version, flags   1 byte    high nibble: version 2; bit 0: an id follows; bit 1: grey; bits 2–3: 0
//! latent-space id  8 or 0    0 when the session has fixed the latent space
//! quality          1 byte    1 ..= 100
//! width, height    LEB128    pixels, each 1 ..= 2²⁴
//! layers           1 byte    how many follow, coarsest first, 1 ..= 8
//! payload lengths  LEB128    one a layer
//! payloads                   range-coded integers
//! CRC32C           4 bytes   little-endian, over all of the above with the id always in its place
//! ```
//! The payload of a layer is that of its only stripe, or, when the picture has several, for each stripe a LEB128
//! length and its payload.

use crate::{IdOnWire, LatentError, LatentSpaceId, Limits, varint};

use super::Quality;

const MAGIC: u8 = 0x4c;
const VERSION: u8 = 2;
const FLAG_ID: u8 = 1;
const FLAG_GREY: u8 = 1 << 1;
const RESERVED: u8 = 0b1100;
const FRAME: &str = "frame";
const MAX_SIDE: u32 = 1 << 24;
const MAX_LAYERS: u8 = 8;

/// What a frame says of its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureHeader {
    /// Pixels a row, 1 to 2²⁴.
    pub width: u32,
    /// Rows, 1 to 2²⁴.
    pub height: u32,
    /// Whether the picture had one channel.
    pub grey: bool,
    /// How finely it is quantised.
    pub quality: Quality,
}

/// A frame taken apart and checked, its payloads still coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureFrame<'a> {
    /// The latent space that decodes it.
    pub latent_space: LatentSpaceId,
    /// What it says of its picture.
    pub header: PictureHeader,
    /// One payload a layer that is there, coarsest first.
    pub payloads: Vec<&'a [u8]>,
}

impl<'a> PictureFrame<'a> {
    /// The frame's bytes.
    #[must_use]
    pub fn to_bytes(&self, id: IdOnWire) -> Vec<u8> {
        let grey = if self.header.grey { FLAG_GREY } else { 0 };
        let flags = if id == IdOnWire::Present { grey | FLAG_ID } else { grey };
        let start = [MAGIC, VERSION << 4 | flags];
        let mut out = start.to_vec();
        if id == IdOnWire::Present {
            out.extend(self.latent_space.as_bytes());
        }
        let body = out.len();
        out.push(self.header.quality.get());
        varint::write(&mut out, self.header.width);
        varint::write(&mut out, self.header.height);
        out.push(self.payloads.len() as u8);
        self.payloads.iter().for_each(|payload| varint::write(&mut out, payload.len() as u32));
        self.payloads.iter().for_each(|payload| out.extend(*payload));
        let crc = checksum(start, self.latent_space, &out[body..]);
        out.extend(crc.to_le_bytes());
        out
    }

    /// Takes a frame apart and checks all but its payloads. `session` is the latent space that both ends have
    /// agreed on, if they have; a frame without an id belongs to it.
    ///
    /// # Errors
    /// A variant of [`LatentError`] for every way in which the bytes are not exactly one frame within `limits`.
    pub fn parse(
        bytes: &'a [u8],
        limits: &Limits,
        session: Option<LatentSpaceId>,
    ) -> Result<Self, LatentError> {
        limit("frame, in bytes", bytes.len() as u64, limits.max_frame_bytes as u64)?;
        let mut rest = bytes;
        let start = take(&mut rest, "magic")?;
        let flags = check_start(start)?;
        let latent_space = if flags & FLAG_ID == 0 {
            session.ok_or(LatentError::NoLatentSpace)?
        } else {
            LatentSpaceId::new(take(&mut rest, "latent-space id")?)
        };
        let body = rest;
        let header = read_header(&mut rest, flags & FLAG_GREY != 0)?;
        limit("picture, in pixels", u64::from(header.width) * u64::from(header.height), limits.max_pixels)?;
        let payloads = read_payloads(&mut rest)?;
        let covered = &body[..body.len() - rest.len()];
        let found = u32::from_le_bytes(take(&mut rest, "checksum")?);
        if !rest.is_empty() {
            return Err(LatentError::Trailing { what: FRAME, count: rest.len() });
        }
        let computed = checksum(start, latent_space, covered);
        if found != computed {
            return Err(LatentError::Checksum { found, computed });
        }
        Ok(Self { latent_space, header, payloads })
    }
}

/// The frame with only its first `layers` layers, at least one: a smaller one of the same picture, made without
/// decoding anything. `session` as in [`PictureFrame::parse`].
///
/// # Errors
/// What [`PictureFrame::parse`] finds.
pub fn keep_layers(
    bytes: &[u8],
    layers: usize,
    limits: &Limits,
    session: Option<LatentSpaceId>,
) -> Result<Vec<u8>, LatentError> {
    let mut frame = PictureFrame::parse(bytes, limits, session)?;
    frame.payloads.truncate(layers.max(1));
    let id = if bytes[1] & FLAG_ID == 0 { IdOnWire::Session } else { IdOnWire::Present };
    Ok(frame.to_bytes(id))
}

/// The flags of a frame's first two bytes.
fn check_start([magic, flags]: [u8; 2]) -> Result<u8, LatentError> {
    if magic != MAGIC {
        return Err(LatentError::Magic { found: magic });
    }
    if flags >> 4 != VERSION {
        return Err(LatentError::Version { found: flags >> 4 });
    }
    if flags & RESERVED != 0 {
        return Err(LatentError::Reserved { found: flags & RESERVED });
    }
    Ok(flags)
}

fn read_header(bytes: &mut &[u8], grey: bool) -> Result<PictureHeader, LatentError> {
    let [quality] = take(bytes, "quality")?;
    let quality = Quality::new(quality)
        .ok_or(LatentError::BadHeader { field: "quality, 1 to 100,", found: u64::from(quality) })?;
    let width = side(bytes, "width")?;
    Ok(PictureHeader { width, height: side(bytes, "height")?, grey, quality })
}

impl PictureHeader {
    /// Whether there can be a picture of these sides.
    pub(crate) fn check(self) -> Result<(), LatentError> {
        check_side(self.width, "width")?;
        check_side(self.height, "height")?;
        Ok(())
    }
}

fn side(bytes: &mut &[u8], field: &'static str) -> Result<u32, LatentError> {
    check_side(varint::read(bytes, FRAME, field)?, field)
}

fn check_side(side: u32, field: &'static str) -> Result<u32, LatentError> {
    if (1..=MAX_SIDE).contains(&side) {
        Ok(side)
    } else {
        Err(LatentError::BadHeader { field, found: side.into() })
    }
}

fn read_payloads<'a>(bytes: &mut &'a [u8]) -> Result<Vec<&'a [u8]>, LatentError> {
    let [count] = take(bytes, "number of layers")?;
    if !(1..=MAX_LAYERS).contains(&count) {
        return Err(LatentError::BadHeader { field: "number of layers, 1 to 8,", found: u64::from(count) });
    }
    let lengths: Vec<u32> =
        (0..count).map(|_| varint::read(bytes, FRAME, "payload length")).collect::<Result<_, _>>()?;
    lengths.into_iter().map(|len| split(bytes, len)).collect()
}

/// Takes `len` bytes off the front.
pub(crate) fn split<'a>(bytes: &mut &'a [u8], len: u32) -> Result<&'a [u8], LatentError> {
    let cut = LatentError::Truncated { what: FRAME, field: "payload" };
    let (head, rest) = bytes.split_at_checked(len as usize).ok_or(cut)?;
    *bytes = rest;
    Ok(head)
}

fn take<const N: usize>(bytes: &mut &[u8], field: &'static str) -> Result<[u8; N], LatentError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(LatentError::Truncated { what: FRAME, field })?;
    *bytes = rest;
    Ok(*head)
}

pub(crate) fn limit(what: &'static str, found: u64, limit: u64) -> Result<(), LatentError> {
    if found <= limit { Ok(()) } else { Err(LatentError::Limit { what, found, limit }) }
}

/// Over the id as well, be it sent or not.
fn checksum([magic, flags]: [u8; 2], latent_space: LatentSpaceId, body: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&[magic, flags]);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, latent_space.as_bytes()), body)
}
