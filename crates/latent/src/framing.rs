//! The parts that frames of all versions share.
//!
//! ```text
//! magic            1 byte    0x4c, 'L'
//! version, flags   1 byte    high nibble: the version; bit 0: an id follows; the other bits depend on the version
//! latent-space id  8 or 0    0 when the session has fixed the latent space
//! body                       depends on the version
//! CRC32C           4 bytes   little-endian, over all of the above with the id always in its place
//! ```
//! The checksum covers the id even when it is not sent, so a frame that reaches the wrong latent space is
//! detected. The frame is self-delimiting; bytes after it are an error.

use crate::{LatentError, LatentSpaceId};

/// The name of a frame in errors.
pub(crate) const FRAME_NAME: &str = "frame";
const MAGIC: u8 = 0x4c;
const FLAG_ID: u8 = 1;
const VERSIONS: std::ops::RangeInclusive<u8> = 1..=2;

/// The presence of the latent-space id in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdOnWire {
    /// 8 bytes: the frame can be decoded without knowledge of its origin.
    Present,
    /// 0 bytes: both ends have agreed on the latent space beforehand.
    Session,
}

impl IdOnWire {
    /// Reads the presence of the id from the second byte of a frame.
    pub(crate) fn from_flags(flags: u8) -> Self {
        if flags & FLAG_ID == 0 { Self::Session } else { Self::Present }
    }
}

/// Limits on the frames that a reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of a frame in bytes.
    pub max_frame_bytes: usize,
    /// Maximum size of a fixed latent, in values of 4 bytes.
    pub max_elements: usize,
    /// Maximum size of an image in pixels; its latent takes about 12 bytes per pixel.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// Returns limits for frames of 16 MiB with 2²² values or 40 megapixels.
    fn default() -> Self {
        Self { max_frame_bytes: 16 << 20, max_elements: 1 << 22, max_pixels: 40_000_000 }
    }
}

/// Returns the latent-space id at the front of a frame of any version, or `None` if the frame does not carry
/// one. Nothing else is checked.
///
/// # Errors
/// Returns [`LatentError::Truncated`], [`LatentError::Magic`] or [`LatentError::Version`].
pub fn peek_latent_space(bytes: &[u8]) -> Result<Option<LatentSpaceId>, LatentError> {
    let mut rest = bytes;
    let [magic, flags] = take_field(&mut rest, "magic")?;
    check_magic(magic)?;
    if !VERSIONS.contains(&(flags >> 4)) {
        return Err(LatentError::Version { found: flags >> 4 });
    }
    match IdOnWire::from_flags(flags) {
        IdOnWire::Present => Ok(Some(read_id(&mut rest)?)),
        IdOnWire::Session => Ok(None),
    }
}

/// The first two bytes of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameStart([u8; 2]);

impl FrameStart {
    /// Creates the first two bytes; `flags` are those that depend on the version.
    pub(crate) fn new(version: u8, flags: u8, id: IdOnWire) -> Self {
        let id = if id == IdOnWire::Present { FLAG_ID } else { 0 };
        Self([MAGIC, version << 4 | flags | id])
    }

    /// Checks the two bytes: they must be of this version, without any of the `reserved` flags.
    pub(crate) fn check_start(
        [magic, flags]: [u8; 2],
        version: u8,
        reserved: u8,
    ) -> Result<Self, LatentError> {
        check_magic(magic)?;
        if flags >> 4 != version {
            return Err(LatentError::Version { found: flags >> 4 });
        }
        if flags & reserved != 0 {
            return Err(LatentError::Reserved { found: flags & reserved });
        }
        Ok(Self([magic, flags]))
    }

    /// Returns the second byte.
    pub(crate) fn flags(self) -> u8 {
        self.0[1]
    }

    /// Returns the complete frame; `body` appends the part that depends on the version.
    pub(crate) fn build_frame(self, latent_space: LatentSpaceId, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = self.0.to_vec();
        if IdOnWire::from_flags(self.flags()) == IdOnWire::Present {
            out.extend(latent_space.as_bytes());
        }
        let body_start = out.len();
        body(&mut out);
        let crc = self.checksum(latent_space, &out[body_start..]);
        out.extend(crc.to_le_bytes());
        out
    }

    /// Reads the latent-space id from the front of `bytes`, or returns that of the `session` if the frame
    /// does not carry one.
    pub(crate) fn read_latent_space(
        self,
        bytes: &mut &[u8],
        session: Option<LatentSpaceId>,
    ) -> Result<LatentSpaceId, LatentError> {
        match IdOnWire::from_flags(self.flags()) {
            IdOnWire::Present => read_id(bytes),
            IdOnWire::Session => session.ok_or(LatentError::MissingLatentSpace),
        }
    }

    /// Checks the end of a frame: `body` is everything after the id, and `rest` is the part of it that has
    /// not been read.
    pub(crate) fn check_end(
        self,
        latent_space: LatentSpaceId,
        body: &[u8],
        mut rest: &[u8],
    ) -> Result<(), LatentError> {
        let covered = &body[..body.len() - rest.len()];
        let found = u32::from_le_bytes(take_field(&mut rest, "checksum")?);
        if !rest.is_empty() {
            return Err(LatentError::Trailing { what: FRAME_NAME, count: rest.len() });
        }
        let computed = self.checksum(latent_space, covered);
        if found == computed { Ok(()) } else { Err(LatentError::Checksum { found, computed }) }
    }

    fn checksum(self, latent_space: LatentSpaceId, body: &[u8]) -> u32 {
        let crc = crc32c::crc32c(&self.0);
        crc32c::crc32c_append(crc32c::crc32c_append(crc, latent_space.as_bytes()), body)
    }
}

/// Checks the first byte of a frame.
pub(crate) fn check_magic(found: u8) -> Result<(), LatentError> {
    if found == MAGIC { Ok(()) } else { Err(LatentError::Magic { found }) }
}

/// Reads a field of fixed length and removes it from the front.
pub(crate) fn take_field<const N: usize>(
    bytes: &mut &[u8],
    field: &'static str,
) -> Result<[u8; N], LatentError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(LatentError::Truncated { what: FRAME_NAME, field })?;
    *bytes = rest;
    Ok(*head)
}

/// Reads a payload of `len` bytes and removes it from the front.
pub(crate) fn take_payload<'a>(bytes: &mut &'a [u8], len: u32) -> Result<&'a [u8], LatentError> {
    let truncated = LatentError::Truncated { what: FRAME_NAME, field: "payload" };
    let (head, rest) = bytes.split_at_checked(len as usize).ok_or(truncated)?;
    *bytes = rest;
    Ok(head)
}

/// Checks that `found` does not exceed `limit`.
pub(crate) fn check_limit(what: &'static str, found: u128, limit: u64) -> Result<(), LatentError> {
    if found <= u128::from(limit) {
        return Ok(());
    }
    Err(LatentError::Limit { what, found: u64::try_from(found).unwrap_or(u64::MAX), limit })
}

fn read_id(bytes: &mut &[u8]) -> Result<LatentSpaceId, LatentError> {
    Ok(LatentSpaceId::new(take_field(bytes, "latent-space id")?))
}
