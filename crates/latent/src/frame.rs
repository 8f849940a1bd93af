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

use crate::{
    IdOnWire, LatentError, LatentSpaceId, Limits, Shape,
    framing::{FRAME_NAME, FrameStart, check_limit, check_magic, take_field, take_payload},
    varint,
};

const VERSION: u8 = 1;
const FLAG_RESERVED: u8 = 1 << 3;
const RANK_SHIFT: u8 = 1;

/// A parsed and checked frame, whose payload is still coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedLatentFrame<'a> {
    /// The latent space that decodes the frame.
    pub latent_space: LatentSpaceId,
    /// The shape of the latent, without the batch.
    pub shape: Shape,
    /// The range-coded integers.
    pub payload: &'a [u8],
}

impl<'a> FixedLatentFrame<'a> {
    /// Returns the bytes of the frame.
    #[must_use]
    pub fn to_bytes(&self, id: IdOnWire) -> Vec<u8> {
        let rank = self.shape.dims().len() as u8;
        FrameStart::new(VERSION, (rank - 1) << RANK_SHIFT, id).build_frame(self.latent_space, |out| {
            self.shape.dims().iter().for_each(|&dim| varint::write(out, dim));
            varint::write(out, self.payload.len() as u32);
            out.extend(self.payload);
        })
    }

    /// Parses a frame and checks all of it except the payload. `session` is the latent space that both ends
    /// have agreed on, if any; a frame without an id belongs to it.
    ///
    /// # Errors
    /// Returns a separate variant of [`LatentError`] for every way in which the bytes are not exactly one
    /// frame within `limits`.
    pub fn parse(
        bytes: &'a [u8],
        limits: &Limits,
        session: Option<LatentSpaceId>,
    ) -> Result<Self, LatentError> {
        check_limit("size of the frame in bytes", bytes.len() as u128, limits.max_frame_bytes as u64)?;
        let mut rest = bytes;
        let start = read_start(&mut rest)?;
        let latent_space = start.read_latent_space(&mut rest, session)?;
        let body = rest;
        let shape = read_shape(&mut rest, (start.flags() >> RANK_SHIFT & 3) + 1)?;
        check_limit("size of the latent in values", shape.elements(), limits.max_elements as u64)?;
        let len = varint::read(&mut rest, FRAME_NAME, "payload length")?;
        let payload = take_payload(&mut rest, len)?;
        start.check_end(latent_space, body, rest)?;
        Ok(Self { latent_space, shape, payload })
    }
}

/// Reads one byte at a time, so that a single byte is checked as the magic before the missing version is
/// reported.
fn read_start(bytes: &mut &[u8]) -> Result<FrameStart, LatentError> {
    let [magic] = take_field(bytes, "magic")?;
    check_magic(magic)?;
    let [flags] = take_field(bytes, "version")?;
    FrameStart::check_start([magic, flags], VERSION, FLAG_RESERVED)
}

fn read_shape(bytes: &mut &[u8], rank: u8) -> Result<Shape, LatentError> {
    let mut dims = [0; 4];
    let dims = &mut dims[..usize::from(rank)];
    for dim in dims.iter_mut() {
        *dim = varint::read(bytes, FRAME_NAME, "shape")?;
    }
    Shape::new(dims)
}
