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

/// How far into a stream its kind is looked for: behind the head of an HTTP answer, say.
const HEAD: usize = 4096;

/// What a stream of pictures consists of.
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

/// What is taken out of a stream of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureOptions {
    /// What it consists of.
    pub format: PictureFormat,
    /// The largest picture, in bytes as they come, at least 4096. No more than so many are held at a time, and a copy
    /// of the picture that is handed out.
    pub limit: usize,
}

impl Default for PictureOptions {
    fn default() -> Self {
        Self { format: PictureFormat::Auto, limit: 16 << 20 }
    }
}

/// The pictures of a byte stream.
pub struct Pictures<R> {
    from: R,
    buffer: Buffer,
    limit: usize,
    /// None while the format is not known.
    known: Option<(PictureFormat, Box<dyn Cutter>)>,
    ended: bool,
    counted: Counted,
}

impl<R: Read> Pictures<R> {
    /// The pictures that come out of a reader.
    ///
    /// # Errors
    /// [`CaptureError::Setting`] when the limit is under 4096 bytes or under a raw picture's size.
    pub fn new(from: R, options: PictureOptions) -> Result<Self, CaptureError> {
        let PictureOptions { format, limit } = options;
        let least = match format {
            PictureFormat::Raw(raw) => raw.size().max(HEAD),
            _ => HEAD,
        };
        if limit < least {
            let message = format!("a limit of {limit} bytes is too small for these pictures: allow {least}");
            return Err(CaptureError::Setting(message));
        }
        let known = cutter(format, limit).map(|cutter| (format, cutter));
        Ok(Self { from, buffer: Buffer::new(limit), limit, known, ended: false, counted: Counted::default() })
    }

    /// Waits for the next picture; none at the end of the stream.
    ///
    /// # Errors
    /// What the reader says, or the first bytes where they do not tell the format: that is said once, and is the end.
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

    /// What has gone through it.
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

    /// Looks for the first picture where the format is not known; false when there have to be more bytes.
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
            // An empty stream has no pictures, whatever they would have been.
            self.end();
        }
        Ok(self.known.is_some())
    }

    /// There is nothing more to be taken out.
    fn end(&mut self) {
        self.ended = true;
        self.buffer.consume(self.buffer.bytes().len());
        self.known = Some((PictureFormat::Mjpeg, Box::new(Mjpeg::default())));
    }
}

/// Why there is no next picture.
#[derive(Debug)]
pub enum StreamFailure {
    /// What the reader said.
    Read(io::Error),
    /// The first bytes, of no known format.
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

/// What begins first.
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
