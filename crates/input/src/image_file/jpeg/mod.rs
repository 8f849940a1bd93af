//! JPEG files: what is read and refused, how damage is found, and how the pixels are decoded.
//!
//! Decoders fill missing data with grey and succeed, so the entropy-coded data is walked over first (`scan`). A file
//! that leaves out what decoders require is rewritten in memory (`repair`).

mod bits;
mod check;
mod frame;
mod huffman;
mod layout;
mod pixels;
mod repair;
mod scan;

use std::borrow::Cow;

use image::{
    DynamicImage, ImageError, ImageFormat,
    error::{DecodingError, ImageFormatHint},
};

use self::{frame::Frame, layout::JpegLayout};
use super::{
    DamagedImages, ImageFileError, ImageNotes, ImagePolicy, ImageWarning,
    error::{TRANSFER_AGAIN, TRANSFER_AGAIN_OR_MARK},
};

const EXIF_MARKER: u8 = 0xe1;
const EXIF_HEADER: &[u8] = b"Exif\0\0";
const ICC_MARKER: u8 = 0xe2;
const ICC_HEADER: &[u8] = b"ICC_PROFILE\0";

/// A JPEG file whose header was read.
#[derive(Debug)]
pub(super) struct JpegFile<'a> {
    bytes: &'a [u8],
    layout: JpegLayout<'a>,
    frame: Frame,
}

impl<'a> JpegFile<'a> {
    /// Reads the header of a file that begins with a start of image.
    ///
    /// # Errors
    /// [`ImageFileError::Unsupported`], [`ImageFileError::Decode`] or [`ImageFileError::Damaged`].
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ImageFileError> {
        let layout = JpegLayout::parse(bytes)?;
        let frame = Frame::find(&layout)?;
        Ok(Self { bytes, layout, frame })
    }

    /// Returns width and height in pixels, without regard to the orientation.
    pub(super) fn dimensions(&self) -> (u32, u32) {
        (self.frame.width, self.frame.height)
    }

    /// Returns whether the samples are cyan, magenta, yellow and black, from which the decoder computes RGB.
    pub(super) fn is_cmyk(&self) -> bool {
        self.frame.components.len() == 4
    }

    /// Returns the EXIF block.
    pub(super) fn exif(&self) -> Option<&'a [u8]> {
        self.application_data(EXIF_MARKER, EXIF_HEADER).next()
    }

    /// Returns the colour profile, which is spread over segments that are numbered from 1.
    pub(super) fn icc_profile(&self) -> Option<Vec<u8>> {
        let mut parts: Vec<(u8, &[u8])> = self
            .application_data(ICC_MARKER, ICC_HEADER)
            .filter_map(|data| Some((*data.first()?, data.get(2..)?)))
            .collect();
        parts.sort_by_key(|&(number, _)| number);
        (!parts.is_empty()).then(|| parts.into_iter().flat_map(|(_, part)| part).copied().collect())
    }

    fn application_data(&self, marker: u8, header: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
        let segments = self.layout.segments.iter().filter(move |segment| segment.marker == marker);
        segments.filter_map(move |segment| segment.payload.strip_prefix(header))
    }

    /// Decodes the pixels to grey or RGB of 8 bits. The size must have been compared with the limits.
    ///
    /// # Errors
    /// [`ImageFileError::Damaged`] unless damaged images are allowed, or if too much is missing.
    pub(super) fn decode(
        &self,
        policy: &ImagePolicy,
        notes: &mut ImageNotes,
    ) -> Result<DynamicImage, ImageFileError> {
        let damage = check::find_damage(&self.layout, &self.frame);
        if let Some(reason) = damage {
            let can_mark = pixels::can_decode_damaged(&self.layout, &self.frame);
            if !can_mark || policy.damaged == DamagedImages::Refuse {
                let fix = if can_mark { TRANSFER_AGAIN_OR_MARK } else { TRANSFER_AGAIN };
                return Err(ImageFileError::Damaged { reason: reason.into(), fix });
            }
            notes.damaged = true;
        }
        let lacks_tables = check::lacks_huffman_tables(&self.layout, &self.frame);
        if lacks_tables {
            notes.warn(ImageWarning::StandardHuffmanTables);
        }
        let decoded = pixels::decode(&self.decodable(lacks_tables), &self.layout, &self.frame);
        match (decoded, damage) {
            (Err(ImageFileError::Decode(_)), Some(reason)) => Err(ImageFileError::damaged(reason)),
            (decoded, _) => decoded,
        }
    }

    fn decodable(&self, lacks_tables: bool) -> Cow<'a, [u8]> {
        if repair::needs_rewrite(&self.layout, lacks_tables) {
            Cow::Owned(repair::rewrite(&self.layout, &self.frame, lacks_tables))
        } else {
            Cow::Borrowed(self.bytes)
        }
    }
}

/// Returns width and height in all frame headers of a file, or of a part that lacks its tables.
///
/// # Errors
/// [`ImageFileError::Decode`] for more segments than any image needs.
pub(super) fn frame_sizes(bytes: &[u8]) -> Result<Vec<(u32, u32)>, ImageFileError> {
    let layout = JpegLayout::parse(bytes)?;
    Ok(layout.segments.iter().filter_map(frame::declared_size).collect())
}

/// Returns the error of a file that is not valid JPEG.
fn invalid(reason: &str) -> ImageFileError {
    let format = ImageFormatHint::Exact(ImageFormat::Jpeg);
    ImageFileError::Decode(ImageError::Decoding(DecodingError::new(format, reason)))
}
