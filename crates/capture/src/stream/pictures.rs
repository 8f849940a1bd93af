use std::io::{self, Read};

use image::ImageFormat;

use super::{
    Raw,
    buffer::Buffer,
    cut::{Cut, Cutter},
    mjpeg::Mjpeg,
    pnm::Pnm,
};
use crate::{CaptureError, Counted, Picture};

/// Number of bytes within which the first image must begin to detect the format, for example after an HTTP
/// header.
const HEAD: usize = 4096;

/// Format of a stream of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// [`Mjpeg`](Self::Mjpeg) or [`Pnm`](Self::Pnm), whichever begins first in the first 4096 bytes.
    Auto,
    /// JPEG files, with anything between them.
    Mjpeg,
    /// Binary PGM and PPM files (`P5`, `P6`), of 8 or 16 bits.
    Pnm,
    /// Samples without a header.
    Raw(Raw),
}

/// Options of a stream of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureOptions {
    /// Format of the stream.
    pub format: PictureFormat,
    /// The largest image in bytes as captured, at least 4096. At most this many bytes are buffered, in
    /// addition to a copy of the image that is returned.
    pub limit: usize,
}

impl Default for PictureOptions {
    fn default() -> Self {
        Self { format: PictureFormat::Auto, limit: 16 << 20 }
    }
}

/// The images of a byte stream.
pub struct Pictures<R> {
    from: R,
    buffer: Buffer,
    limit: usize,
    /// `None` until the format is known.
    known: Option<(PictureFormat, Box<dyn Cutter>)>,
    ended: bool,
    counted: Counted,
}

impl<R: Read> Pictures<R> {
    /// Creates the images of a reader.
    ///
    /// # Errors
    /// [`CaptureError::Setting`] if the limit is under 4096 bytes or under the size of a raw image.
    pub fn new(from: R, options: PictureOptions) -> Result<Self, CaptureError> {
        let PictureOptions { format, limit } = options;
        let least = match format {
            PictureFormat::Raw(raw) => raw.size().max(HEAD),
            _ => HEAD,
        };
        if limit < least {
            let message =
                format!("a limit of {limit} bytes is too small for these images: allow at least {least}");
            return Err(CaptureError::Setting(message));
        }
        let known = cutter(format, limit).map(|cutter| (format, cutter));
        Ok(Self { from, buffer: Buffer::new(limit), limit, known, ended: false, counted: Counted::default() })
    }

    /// Waits for the next image; returns `None` at the end of the stream.
    ///
    /// # Errors
    /// The error of the reader, or the first bytes if the format cannot be detected: that error is returned
    /// once and ends the stream.
    pub fn next_picture(&mut self) -> Result<Option<Picture>, StreamFailure> {
        loop {
            if let Some(picture) = self.step()? {
                return Ok(Some(picture));
            }
            if self.ended && self.buffer.bytes().is_empty() {
                return Ok(None);
            }
        }
    }

    /// Returns the counts so far.
    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// Cuts once, or reads once.
    fn step(&mut self) -> Result<Option<Picture>, StreamFailure> {
        if !self.find_format()? {
            self.fill()?;
            return Ok(None);
        }
        let Some((format, cutter)) = &mut self.known else { return Ok(None) };
        let bytes = self.buffer.bytes();
        if bytes.is_empty() {
            self.fill()?;
            return Ok(None);
        }
        let cut = match cutter.cut(bytes) {
            Cut::More if self.ended || self.buffer.is_full() => cutter.give_up(bytes),
            cut => cut,
        };
        let mut picture = None;
        match cut {
            Cut::More => self.fill()?,
            Cut::Garbage(count) => {
                self.counted.skipped += count as u64;
                self.buffer.consume(count);
            }
            Cut::Damaged(count) => {
                self.counted.damaged += 1;
                self.counted.skipped += count as u64;
                self.buffer.consume(count);
            }
            Cut::Whole(count) => {
                picture = Some(picture_of(*format, bytes[..count].to_vec()));
                self.counted.captured += 1;
                self.buffer.consume(count);
            }
        }
        Ok(picture)
    }

    fn fill(&mut self) -> Result<(), StreamFailure> {
        self.ended = self.ended || self.buffer.fill(&mut self.from).map_err(StreamFailure::Read)? == 0;
        Ok(())
    }

    /// Looks for the first image if the format is unknown; returns false if more bytes are needed.
    fn find_format(&mut self) -> Result<bool, StreamFailure> {
        if self.known.is_some() {
            return Ok(true);
        }
        let bytes = self.buffer.bytes();
        let head = &bytes[..bytes.len().min(HEAD)];
        if let Some(format) = format_of(head) {
            self.known = cutter(format, self.limit).map(|cutter| (format, cutter));
        } else if head.len() == HEAD || (self.ended && !head.is_empty()) {
            let head = head[..head.len().min(16)].to_vec();
            self.end();
            return Err(StreamFailure::Unknown(head));
        } else if self.ended {
            // An empty stream ends without images in any format.
            self.end();
        }
        Ok(self.known.is_some())
    }

    /// Discards the rest of the stream.
    fn end(&mut self) {
        self.ended = true;
        self.buffer.consume(self.buffer.bytes().len());
        self.known = Some((PictureFormat::Mjpeg, Box::new(Mjpeg::default())));
    }
}

/// Reason why the next image cannot be returned.
#[derive(Debug)]
pub enum StreamFailure {
    /// The error of the reader.
    Read(io::Error),
    /// The first bytes, which match none of the known formats.
    Unknown(Vec<u8>),
}

fn cutter(format: PictureFormat, limit: usize) -> Option<Box<dyn Cutter>> {
    match format {
        PictureFormat::Auto => None,
        PictureFormat::Mjpeg => Some(Box::new(Mjpeg::default())),
        PictureFormat::Pnm => Some(Box::new(Pnm::new(limit))),
        PictureFormat::Raw(raw) => Some(Box::new(raw)),
    }
}

/// Returns the format of the first image in the bytes.
fn format_of(head: &[u8]) -> Option<PictureFormat> {
    head.windows(3).find_map(|window| match window {
        [0xff, 0xd8, 0xff] => Some(PictureFormat::Mjpeg),
        [b'P', b'5' | b'6', b'\n' | b'\r' | b' ' | b'\t' | b'#'] => Some(PictureFormat::Pnm),
        _ => None,
    })
}

fn picture_of(format: PictureFormat, bytes: Vec<u8>) -> Picture {
    match format {
        PictureFormat::Raw(raw) => Picture::raw(raw, bytes),
        PictureFormat::Pnm => Picture::encoded(ImageFormat::Pnm, bytes),
        PictureFormat::Auto | PictureFormat::Mjpeg => Picture::encoded(ImageFormat::Jpeg, bytes),
    }
}
