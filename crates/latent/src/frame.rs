//! The frame: one latent on the wire and in the archive, version 1.
//!
//! ```text
//! magic            1 byte    0x4c, 'L'
//! version, flags   1 byte    high nibble: version 1; bit 0: an id follows; bits 1–2: rank − 1; bit 3: 0
//! latent-space id  8 or 0    0 when the session has fixed the latent space
//! dimensions       LEB128    rank numbers, slowest first, each 1 ..= 2²⁴
//! payload length   LEB128    bytes
//! payload                    range-coded integers
//! CRC32C           4 bytes   little-endian, over all of the above with the id always in its place
//! ```
//! The checksum covers the id even when it is not sent, so a frame that meets the wrong latent space is caught.
//! The frame delimits itself; bytes after it are an error.

use crate::{LatentError, LatentSpaceId, Shape, varint};

const MAGIC: u8 = 0x4c;
const VERSION: u8 = 1;
const FLAG_ID: u8 = 1;
const FLAG_RESERVED: u8 = 1 << 3;
const RANK_SHIFT: u8 = 1;
const FRAME: &str = "frame";

/// Whether a frame carries its latent-space id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdOnWire {
    /// 8 bytes: the frame can be decoded without knowing where it came from.
    Present,
    /// 0 bytes: both ends have agreed on the latent space beforehand.
    Session,
}

/// What a reader of frames is willing to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame, in bytes.
    pub max_frame_bytes: usize,
    /// The largest latent, in values of 4 bytes.
    pub max_elements: usize,
    /// The largest picture, in pixels; its latent takes about 12 bytes a pixel.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 16 MiB frames of 2²² values or 40 megapixels.
    fn default() -> Self {
        Self { max_frame_bytes: 16 << 20, max_elements: 1 << 22, max_pixels: 40_000_000 }
    }
}

/// A frame taken apart and checked, its payload still coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The latent space that decodes it.
    pub latent_space: LatentSpaceId,
    /// The latent's shape, without the batch.
    pub shape: Shape,
    /// The range-coded integers.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame's bytes.
    #[must_use]
    pub fn to_bytes(&self, id: IdOnWire) -> Vec<u8> {
        let header = Header { id, rank: self.shape.dims().len() as u8 };
        let mut out = header.to_bytes().to_vec();
        if id == IdOnWire::Present {
            out.extend(self.latent_space.as_bytes());
        }
        let body = out.len();
        self.shape.dims().iter().for_each(|&dim| varint::write(&mut out, dim));
        varint::write(&mut out, self.payload.len() as u32);
        out.extend(self.payload);
        let crc = checksum(header.to_bytes(), self.latent_space, &out[body..]);
        out.extend(crc.to_le_bytes());
        out
    }

    /// Takes a frame apart and checks all but its payload. `session` is the latent space that both ends have
    /// agreed on, if they have; a frame without an id belongs to it.
    ///
    /// # Errors
    /// A variant of [`LatentError`] for every way in which the bytes are not exactly one frame within `limits`.
    pub fn parse(
        bytes: &'a [u8],
        limits: &Limits,
        session: Option<LatentSpaceId>,
    ) -> Result<Self, LatentError> {
        check_limit("frame, in bytes", bytes.len() as u128, limits.max_frame_bytes)?;
        let mut rest = bytes;
        let header = Header::read(&mut rest)?;
        let latent_space = match header.id {
            IdOnWire::Present => LatentSpaceId::new(take(&mut rest, "latent-space id")?),
            IdOnWire::Session => session.ok_or(LatentError::NoLatentSpace)?,
        };
        let body = rest;
        let shape = read_shape(&mut rest, header.rank)?;
        check_limit("latent, in values", shape.elements(), limits.max_elements)?;
        let len = varint::read(&mut rest, FRAME, "payload length")? as usize;
        let cut = LatentError::Truncated { what: FRAME, field: "payload" };
        let (payload, mut rest) = rest.split_at_checked(len).ok_or(cut)?;
        let covered = &body[..body.len() - rest.len()];
        let found = u32::from_le_bytes(take(&mut rest, "checksum")?);
        if !rest.is_empty() {
            return Err(LatentError::Trailing { what: FRAME, count: rest.len() });
        }
        let computed = checksum(header.to_bytes(), latent_space, covered);
        if found != computed {
            return Err(LatentError::Checksum { found, computed });
        }
        Ok(Self { latent_space, shape, payload })
    }
}

/// The latent-space id at the front of a frame of any version, `None` when it carries none. Nothing else is checked.
///
/// # Errors
/// [`LatentError::Truncated`], [`LatentError::Magic`] or [`LatentError::Version`].
pub fn latent_space_of(bytes: &[u8]) -> Result<Option<LatentSpaceId>, LatentError> {
    let mut rest = bytes;
    let [magic, flags] = take(&mut rest, "magic")?;
    if magic != MAGIC {
        return Err(LatentError::Magic { found: magic });
    }
    if !(VERSION..=2).contains(&(flags >> 4)) {
        return Err(LatentError::Version { found: flags >> 4 });
    }
    // Every version has this flag in the same place.
    if flags & FLAG_ID == 0 {
        return Ok(None);
    }
    Ok(Some(LatentSpaceId::new(take(&mut rest, "latent-space id")?)))
}

/// The first two bytes.
struct Header {
    id: IdOnWire,
    rank: u8,
}

impl Header {
    fn to_bytes(&self) -> [u8; 2] {
        let id = if self.id == IdOnWire::Present { FLAG_ID } else { 0 };
        [MAGIC, VERSION << 4 | (self.rank - 1) << RANK_SHIFT | id]
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, LatentError> {
        let [magic] = take(bytes, "magic")?;
        if magic != MAGIC {
            return Err(LatentError::Magic { found: magic });
        }
        let [flags] = take(bytes, "version")?;
        if flags >> 4 != VERSION {
            return Err(LatentError::Version { found: flags >> 4 });
        }
        if flags & FLAG_RESERVED != 0 {
            return Err(LatentError::Reserved { found: flags & FLAG_RESERVED });
        }
        let id = if flags & FLAG_ID == 0 { IdOnWire::Session } else { IdOnWire::Present };
        Ok(Self { id, rank: (flags >> RANK_SHIFT & 3) + 1 })
    }
}

fn read_shape(bytes: &mut &[u8], rank: u8) -> Result<Shape, LatentError> {
    let mut dims = [0; 4];
    let dims = &mut dims[..usize::from(rank)];
    for dim in dims.iter_mut() {
        *dim = varint::read(bytes, FRAME, "shape")?;
    }
    Shape::new(dims)
}

fn take<const N: usize>(bytes: &mut &[u8], field: &'static str) -> Result<[u8; N], LatentError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(LatentError::Truncated { what: FRAME, field })?;
    *bytes = rest;
    Ok(*head)
}

fn check_limit(what: &'static str, found: u128, limit: usize) -> Result<(), LatentError> {
    if found <= limit as u128 {
        return Ok(());
    }
    Err(LatentError::Limit { what, found: u64::try_from(found).unwrap_or(u64::MAX), limit: limit as u64 })
}

fn checksum(header: [u8; 2], latent_space: LatentSpaceId, body: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&header);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, latent_space.as_bytes()), body)
}
