//! The frame of an image, version 2.
//!
//! ```text
//! magic            1 byte    0x4c, 'L'
//! version, flags   1 byte    high nibble: version 2; bit 0: an id follows; bit 1: grey; bits 2–3: 0
//! latent-space id  8 or 0    0 when the session has fixed the latent space
//! quality          1 byte    1 ..= 100
//! width, height    LEB128    pixels, each 1 ..= 2²⁴
//! layers           1 byte    number of layers that follow, coarsest first, 1 ..= 8
//! payload lengths  LEB128    one per layer
//! payloads                   range-coded integers
//! CRC32C           4 bytes   little-endian, over all of the above with the id always in its place
//! ```
//! The payload of a layer is that of its only stripe, or, if the image has several, a LEB128 length and a
//! payload for each stripe.

use crate::{
    IdOnWire, LatentError, LatentSpaceId, Limits,
    framing::{FRAME_NAME, FrameStart, check_limit, take_field, take_payload},
    varint,
};

use super::Quality;

const VERSION: u8 = 2;
const FLAG_GREY: u8 = 1 << 1;
const FLAGS_RESERVED: u8 = 0b1100;
const MAX_SIDE: u32 = 1 << 24;
const MAX_LAYERS: u8 = 8;

/// The header of an image's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageCodecHeader {
    /// Width in pixels, 1 to 2²⁴.
    pub width: u32,
    /// Height in pixels, 1 to 2²⁴.
    pub height: u32,
    /// Whether the image had one channel.
    pub is_grey: bool,
    /// The quality at which the image is quantised.
    pub quality: Quality,
}

/// A parsed and checked frame, whose payloads are still coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCodecFrame<'a> {
    /// The latent space that decodes the frame.
    pub latent_space: LatentSpaceId,
    /// The header.
    pub header: ImageCodecHeader,
    /// The payloads of the layers in the frame, one per layer, coarsest first.
    pub payloads: Vec<&'a [u8]>,
}

impl<'a> ImageCodecFrame<'a> {
    /// Returns the bytes of the frame.
    #[must_use]
    pub fn to_bytes(&self, id: IdOnWire) -> Vec<u8> {
        let grey = if self.header.is_grey { FLAG_GREY } else { 0 };
        FrameStart::new(VERSION, grey, id).build_frame(self.latent_space, |out| {
            out.push(self.header.quality.get());
            varint::write(out, self.header.width);
            varint::write(out, self.header.height);
            out.push(self.payloads.len() as u8);
            self.payloads.iter().for_each(|payload| varint::write(out, payload.len() as u32));
            self.payloads.iter().for_each(|payload| out.extend(*payload));
        })
    }

    /// Parses a frame and checks all of it except the payloads. `session` is the latent space that both ends
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
        let start = FrameStart::check_start(take_field(&mut rest, "magic")?, VERSION, FLAGS_RESERVED)?;
        let latent_space = start.read_latent_space(&mut rest, session)?;
        let body = rest;
        let header = read_header(&mut rest, start.flags() & FLAG_GREY != 0)?;
        let pixels = u128::from(header.width) * u128::from(header.height);
        check_limit("size of the image in pixels", pixels, limits.max_pixels)?;
        let payloads = read_payloads(&mut rest)?;
        start.check_end(latent_space, body, rest)?;
        Ok(Self { latent_space, header, payloads })
    }
}

/// Truncates a frame to its first `layers` layers, at least one. The result is a smaller frame of the same
/// image, made without decoding. `session` is as in [`ImageCodecFrame::parse`].
///
/// # Errors
/// Returns the errors of [`ImageCodecFrame::parse`].
pub fn truncate_layers(
    bytes: &[u8],
    layers: usize,
    limits: &Limits,
    session: Option<LatentSpaceId>,
) -> Result<Vec<u8>, LatentError> {
    let mut frame = ImageCodecFrame::parse(bytes, limits, session)?;
    frame.payloads.truncate(layers.max(1));
    Ok(frame.to_bytes(IdOnWire::from_flags(bytes[1])))
}

fn read_header(bytes: &mut &[u8], grey: bool) -> Result<ImageCodecHeader, LatentError> {
    let [quality] = take_field(bytes, "quality")?;
    let quality = Quality::new(quality)
        .ok_or(LatentError::BadHeader { field: "quality (1 to 100)", found: u64::from(quality) })?;
    let width = read_side(bytes, "width")?;
    Ok(ImageCodecHeader { width, height: read_side(bytes, "height")?, is_grey: grey, quality })
}

impl ImageCodecHeader {
    /// Checks that the sides are valid.
    ///
    /// # Errors
    /// Returns [`LatentError::BadHeader`] naming the side that is not 1 to 2²⁴.
    pub fn check_sides(self) -> Result<(), LatentError> {
        check_side(self.width, "width")?;
        check_side(self.height, "height")?;
        Ok(())
    }
}

fn read_side(bytes: &mut &[u8], field: &'static str) -> Result<u32, LatentError> {
    check_side(varint::read(bytes, FRAME_NAME, field)?, field)
}

fn check_side(side: u32, field: &'static str) -> Result<u32, LatentError> {
    if (1..=MAX_SIDE).contains(&side) {
        Ok(side)
    } else {
        Err(LatentError::BadHeader { field, found: side.into() })
    }
}

fn read_payloads<'a>(bytes: &mut &'a [u8]) -> Result<Vec<&'a [u8]>, LatentError> {
    let [count] = take_field(bytes, "number of layers")?;
    if !(1..=MAX_LAYERS).contains(&count) {
        return Err(LatentError::BadHeader { field: "number of layers (1 to 8)", found: u64::from(count) });
    }
    let lengths: Vec<u32> =
        (0..count).map(|_| varint::read(bytes, FRAME_NAME, "payload length")).collect::<Result<_, _>>()?;
    lengths.into_iter().map(|len| take_payload(bytes, len)).collect()
}
