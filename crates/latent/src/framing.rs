//! What frames of every version have in common.
//!
//! ```text
//! magic            1 byte    0x4c, 'L'
//! version, flags   1 byte    high nibble: the version; bit 0: an id follows; the rest is the version's own
//! latent-space id  8 or 0    0 when the session has fixed the latent space
//! body                       the version's own
//! CRC32C           4 bytes   little-endian, over all of the above with the id always in its place
//! ```
//! The checksum covers the id even when it is not sent, so a frame that meets the wrong latent space is caught.
//! The frame delimits itself; bytes after it are an error.

use crate::{LatentError, LatentSpaceId};

/// What errors call it.
pub(crate) const FRAME: &str = "frame";
const MAGIC: u8 = 0x4c;
const FLAG_ID: u8 = 1;
const VERSIONS: std::ops::RangeInclusive<u8> = 1..=2;

/// Whether a frame carries its latent-space id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdOnWire {
    /// 8 bytes: the frame can be decoded without knowing where it came from.
    Present,
    /// 0 bytes: both ends have agreed on the latent space beforehand.
    Session,
}

impl IdOnWire {
    /// What a frame's second byte says.
    pub(crate) fn of(flags: u8) -> Self {
        if flags & FLAG_ID == 0 { Self::Session } else { Self::Present }
    }
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

/// The latent-space id at the front of a frame of any version, `None` when it carries none. Nothing else is checked.
///
/// # Errors
/// [`LatentError::Truncated`], [`LatentError::Magic`] or [`LatentError::Version`].
pub fn latent_space_of(bytes: &[u8]) -> Result<Option<LatentSpaceId>, LatentError> {
    let mut rest = bytes;
    let [magic, flags] = take(&mut rest, "magic")?;
    check_magic(magic)?;
    if !VERSIONS.contains(&(flags >> 4)) {
        return Err(LatentError::Version { found: flags >> 4 });
    }
    match IdOnWire::of(flags) {
        IdOnWire::Present => Ok(Some(read_id(&mut rest)?)),
        IdOnWire::Session => Ok(None),
    }
}

/// The first two bytes of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start([u8; 2]);

impl Start {
    /// `flags` are the version's own.
    pub(crate) fn new(version: u8, flags: u8, id: IdOnWire) -> Self {
        let id = if id == IdOnWire::Present { FLAG_ID } else { 0 };
        Self([MAGIC, version << 4 | flags | id])
    }

    /// The two bytes as found: of this version, none of the `reserved` flags set.
    pub(crate) fn check([magic, flags]: [u8; 2], version: u8, reserved: u8) -> Result<Self, LatentError> {
        check_magic(magic)?;
        if flags >> 4 != version {
            return Err(LatentError::Version { found: flags >> 4 });
        }
        if flags & reserved != 0 {
            return Err(LatentError::Reserved { found: flags & reserved });
        }
        Ok(Self([magic, flags]))
    }

    /// The second byte.
    pub(crate) fn flags(self) -> u8 {
        self.0[1]
    }

    /// A whole frame; `body` appends the version's own part.
    pub(crate) fn frame(self, latent_space: LatentSpaceId, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = self.0.to_vec();
        if IdOnWire::of(self.flags()) == IdOnWire::Present {
            out.extend(latent_space.as_bytes());
        }
        let covered = out.len();
        body(&mut out);
        let crc = self.checksum(latent_space, &out[covered..]);
        out.extend(crc.to_le_bytes());
        out
    }

    /// Takes the latent-space id off the front of what follows, or else the `session`'s.
    pub(crate) fn latent_space(
        self,
        bytes: &mut &[u8],
        session: Option<LatentSpaceId>,
    ) -> Result<LatentSpaceId, LatentError> {
        match IdOnWire::of(self.flags()) {
            IdOnWire::Present => read_id(bytes),
            IdOnWire::Session => session.ok_or(LatentError::NoLatentSpace),
        }
    }

    /// Checks the end of a frame: `body` is all that follows the id, and `rest` what of it has not been read.
    pub(crate) fn check_end(
        self,
        latent_space: LatentSpaceId,
        body: &[u8],
        mut rest: &[u8],
    ) -> Result<(), LatentError> {
        let covered = &body[..body.len() - rest.len()];
        let found = u32::from_le_bytes(take(&mut rest, "checksum")?);
        if !rest.is_empty() {
            return Err(LatentError::Trailing { what: FRAME, count: rest.len() });
        }
        let computed = self.checksum(latent_space, covered);
        if found == computed { Ok(()) } else { Err(LatentError::Checksum { found, computed }) }
    }

    fn checksum(self, latent_space: LatentSpaceId, body: &[u8]) -> u32 {
        let crc = crc32c::crc32c(&self.0);
        crc32c::crc32c_append(crc32c::crc32c_append(crc, latent_space.as_bytes()), body)
    }
}

/// Whether a frame can start with this byte.
pub(crate) fn check_magic(found: u8) -> Result<(), LatentError> {
    if found == MAGIC { Ok(()) } else { Err(LatentError::Magic { found }) }
}

/// Takes a field of fixed length off the front.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8], field: &'static str) -> Result<[u8; N], LatentError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(LatentError::Truncated { what: FRAME, field })?;
    *bytes = rest;
    Ok(*head)
}

/// Takes a payload of `len` bytes off the front.
pub(crate) fn take_payload<'a>(bytes: &mut &'a [u8], len: u32) -> Result<&'a [u8], LatentError> {
    let cut = LatentError::Truncated { what: FRAME, field: "payload" };
    let (head, rest) = bytes.split_at_checked(len as usize).ok_or(cut)?;
    *bytes = rest;
    Ok(head)
}

/// Whether what was `found` is no more than what is granted.
pub(crate) fn check_limit(what: &'static str, found: u128, limit: u64) -> Result<(), LatentError> {
    if found <= u128::from(limit) {
        return Ok(());
    }
    Err(LatentError::Limit { what, found: u64::try_from(found).unwrap_or(u64::MAX), limit })
}

fn read_id(bytes: &mut &[u8]) -> Result<LatentSpaceId, LatentError> {
    Ok(LatentSpaceId::new(take(bytes, "latent-space id")?))
}
