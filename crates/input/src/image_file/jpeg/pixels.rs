//! The pixels of a JPEG file, by one of two decoders.
//!
//! zune-jpeg is the faster one, but mixes up the blocks of sequential images whose components are in scans of their own,
//! and refuses unusual sampling factors. jpeg-decoder reads both.

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::PixelFormat;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::{
    super::ImageFileError,
    frame::{Component, Frame},
    invalid,
    layout::{JpegLayout, START_OF_SCAN},
};

/// Decodes a file to grey or RGB.
///
/// # Errors
/// [`ImageFileError::Decode`] if the decoder refuses it, [`ImageFileError::Unsupported`] for CMYK with unusual
/// sampling.
pub(super) fn decode(
    bytes: &[u8],
    layout: &JpegLayout<'_>,
    frame: &Frame,
) -> Result<DynamicImage, ImageFileError> {
    if can_decode_damaged(layout, frame) { decode_usual(bytes, frame) } else { decode_unusual(bytes, frame) }
}

/// Returns whether the decoder of a file shows what it can if the data is damaged. zune-jpeg does, jpeg-decoder does not.
pub(super) fn can_decode_damaged(layout: &JpegLayout<'_>, frame: &Frame) -> bool {
    has_usual_sampling(frame) && (frame.is_progressive || are_scans_interleaved(layout, frame))
}

/// Returns whether the first component (and the fourth, black) has all samples, and the others the same or fewer, by
/// powers of two.
fn has_usual_sampling(frame: &Frame) -> bool {
    let is = |component: &Component, horizontal, vertical| {
        (component.horizontal, component.vertical) == (horizontal, vertical)
    };
    match &frame.components[..] {
        [only] => is(only, 1, 1),
        [first, chroma @ ..] => {
            let (horizontal, vertical) = (first.horizontal, first.vertical);
            horizontal != 3
                && vertical != 3
                && chroma.iter().take(2).all(|component| is(component, 1, 1))
                && chroma.iter().skip(2).all(|component| is(component, horizontal, vertical))
        }
        [] => false,
    }
}

/// Returns whether every scan contains all components.
fn are_scans_interleaved(layout: &JpegLayout<'_>, frame: &Frame) -> bool {
    let mut scans = layout.segments.iter().filter(|segment| segment.marker == START_OF_SCAN);
    scans.all(|scan| scan.payload.first().map(|&count| usize::from(count)) == Some(frame.components.len()))
}

fn decode_usual(bytes: &[u8], frame: &Frame) -> Result<DynamicImage, ImageFileError> {
    let colour_space = if frame.components.len() == 1 { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(colour_space);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let samples = decoder.decode().map_err(|error| invalid(&format!("{error:?}")))?;
    to_image(samples, frame, colour_space == ColorSpace::Luma)
}

fn decode_unusual(bytes: &[u8], frame: &Frame) -> Result<DynamicImage, ImageFileError> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    let samples = decoder.decode().map_err(|error| invalid(&error.to_string()))?;
    match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::L8) => to_image(samples, frame, true),
        Some(PixelFormat::RGB24) => to_image(samples, frame, false),
        _ => Err(ImageFileError::Unsupported {
            kind: "CMYK JPEG with unusual sampling",
            fix: "convert it to JPEG in RGB",
        }),
    }
}

fn to_image(samples: Vec<u8>, frame: &Frame, is_grey: bool) -> Result<DynamicImage, ImageFileError> {
    let (width, height) = (frame.width, frame.height);
    let image = if is_grey {
        GrayImage::from_raw(width, height, samples).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, samples).map(DynamicImage::from)
    };
    image.ok_or_else(|| invalid("its decoder returned another number of samples"))
}
