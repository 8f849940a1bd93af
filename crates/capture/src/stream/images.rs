use std::io::{self, Read};

use super::{
    RawLayout,
    buffer::StreamBuffer,
    mjpeg::MjpegSplitter,
    png::{self, PngSplitter},
    pnm::PnmSplitter,
    split::{SplitItem, StreamSplitter},
    y4m::{self, Y4mSplitter},
};
use crate::{CaptureError, CapturedImage, InputCounts};

/// Number of bytes within which the first image must begin to detect the format, for example after an HTTP
/// header.
const DETECTION_BYTES: usize = 4096;

/// Format of a stream of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// Any of the others except [`Raw`](Self::Raw), whichever begins first in the first 4096 bytes.
    Auto,
    /// JPEG files, with anything between them.
    Mjpeg,
    /// Binary PGM and PPM files (`P5`, `P6`), of 8 or 16 bits.
    Pnm,
    /// PNG files.
    Png,
    /// YUV4MPEG2: samples behind a header with their size and layout.
    Y4m,
    /// Samples without a header.
    Raw(RawLayout),
}

/// Options of a stream of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageStreamOptions {
    /// Format of the stream.
    pub format: StreamFormat,
    /// The largest image in bytes as captured, at least 4096. At most this many bytes are buffered, in
    /// addition to a copy of the image that is returned.
    pub max_image_bytes: usize,
}

impl Default for ImageStreamOptions {
    fn default() -> Self {
        Self { format: StreamFormat::Auto, max_image_bytes: 16 << 20 }
    }
}

/// The images of a byte stream.
pub struct ImageStreamReader<R> {
    reader: R,
    buffer: StreamBuffer,
    limit: usize,
    /// `None` until the format is known.
    splitter: Option<Box<dyn StreamSplitter>>,
    has_ended: bool,
    counts: InputCounts,
}

impl<R: Read> ImageStreamReader<R> {
    /// Creates the images of a reader.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`] if the limit is under 4096 bytes or under the size of a raw image.
    pub fn new(reader: R, options: ImageStreamOptions) -> Result<Self, CaptureError> {
        let ImageStreamOptions { format, max_image_bytes: limit } = options;
        let min_limit = match format {
            StreamFormat::Raw(raw) => raw.image_bytes().max(DETECTION_BYTES),
            _ => DETECTION_BYTES,
        };
        if limit < min_limit {
            let message =
                format!("a limit of {limit} bytes is too small for these images: allow at least {min_limit}");
            return Err(CaptureError::InvalidSetting(message));
        }
        Ok(Self {
            reader,
            buffer: StreamBuffer::new(limit),
            limit,
            splitter: new_splitter(format, limit),
            has_ended: false,
            counts: InputCounts::default(),
        })
    }

    /// Waits for the next image; returns `None` at the end of the stream.
    ///
    /// # Errors
    /// The error of the reader; the first bytes if the format cannot be detected, or the reason why the kind of the
    /// stream is not supported: these two are returned once and end the stream.
    pub fn next_image(&mut self) -> Result<Option<CapturedImage>, StreamFailure> {
        loop {
            if let Some(image) = self.read_step()? {
                return Ok(Some(image));
            }
            if self.has_ended && self.buffer.bytes().is_empty() {
                return Ok(None);
            }
        }
    }

    /// Returns the counts so far.
    pub fn input_counts(&self) -> InputCounts {
        self.counts
    }

    /// Splits once, or reads once.
    fn read_step(&mut self) -> Result<Option<CapturedImage>, StreamFailure> {
        if !self.find_format()? {
            self.fill_buffer()?;
            return Ok(None);
        }
        let Some(splitter) = &mut self.splitter else { return Ok(None) };
        let bytes = self.buffer.bytes();
        if bytes.is_empty() {
            self.fill_buffer()?;
            return Ok(None);
        }
        let item = match splitter.split(bytes) {
            SplitItem::NeedsMore if self.has_ended || self.buffer.is_full() => {
                splitter.give_up(bytes, self.has_ended)
            }
            item => item,
        };
        let image = match item {
            SplitItem::Complete(count) | SplitItem::Truncated(count) => Some(splitter.image(&bytes[..count])),
            _ => None,
        };
        self.pass_over(item)?;
        Ok(image)
    }

    /// Counts an item, and removes it from the buffer; reads more if there is none.
    fn pass_over(&mut self, item: SplitItem) -> Result<(), StreamFailure> {
        match item {
            SplitItem::NeedsMore => self.fill_buffer()?,
            SplitItem::Garbage(count) => {
                self.counts.skipped += count as u64;
                self.buffer.consume(count);
            }
            SplitItem::Damaged(count) => {
                self.counts.damaged += 1;
                self.counts.skipped += count as u64;
                self.buffer.consume(count);
            }
            SplitItem::Header(count) => self.buffer.consume(count),
            SplitItem::Complete(count) | SplitItem::Truncated(count) => {
                self.counts.captured += 1;
                self.buffer.consume(count);
            }
            SplitItem::Refused(reason) => {
                self.discard_rest();
                return Err(StreamFailure::Unsupported(reason));
            }
        }
        Ok(())
    }

    fn fill_buffer(&mut self) -> Result<(), StreamFailure> {
        self.has_ended =
            self.has_ended || self.buffer.fill(&mut self.reader).map_err(StreamFailure::Read)? == 0;
        Ok(())
    }

    /// Looks for the first image if the format is unknown; returns false if more bytes are needed.
    fn find_format(&mut self) -> Result<bool, StreamFailure> {
        if self.splitter.is_some() {
            return Ok(true);
        }
        let bytes = self.buffer.bytes();
        let head = &bytes[..bytes.len().min(DETECTION_BYTES)];
        if let Some(format) = detect_format(head) {
            self.splitter = new_splitter(format, self.limit);
        } else if head.len() == DETECTION_BYTES || (self.has_ended && !head.is_empty()) {
            let head = head.to_vec();
            self.discard_rest();
            return Err(StreamFailure::Unknown(head));
        } else if self.has_ended {
            // An empty stream ends without images in any format.
            self.discard_rest();
        }
        Ok(self.splitter.is_some())
    }

    /// Discards the rest of the stream.
    fn discard_rest(&mut self) {
        self.has_ended = true;
        self.buffer.consume(self.buffer.bytes().len());
        self.splitter = Some(Box::new(MjpegSplitter::default()));
    }
}

/// Reason why the next image cannot be returned.
#[derive(Debug)]
pub enum StreamFailure {
    /// The error of the reader.
    Read(io::Error),
    /// The first bytes, which match none of the known formats.
    Unknown(Vec<u8>),
    /// The format is known, but this kind of it is not supported, for this reason.
    Unsupported(&'static str),
}

fn new_splitter(format: StreamFormat, limit: usize) -> Option<Box<dyn StreamSplitter>> {
    match format {
        StreamFormat::Auto => None,
        StreamFormat::Mjpeg => Some(Box::new(MjpegSplitter::default())),
        StreamFormat::Pnm => Some(Box::new(PnmSplitter::new(limit))),
        StreamFormat::Png => Some(Box::new(PngSplitter::default())),
        StreamFormat::Y4m => Some(Box::new(Y4mSplitter::new(limit))),
        StreamFormat::Raw(raw) => Some(Box::new(raw)),
    }
}

/// Returns the format of the first image in the bytes.
fn detect_format(head: &[u8]) -> Option<StreamFormat> {
    (0..head.len()).find_map(|offset| match &head[offset..] {
        [0xff, 0xd8, 0xff, ..] => Some(StreamFormat::Mjpeg),
        [b'P', b'5' | b'6', b'\n' | b'\r' | b' ' | b'\t' | b'#', ..] => Some(StreamFormat::Pnm),
        rest if rest.starts_with(&png::SIGNATURE) => Some(StreamFormat::Png),
        rest if rest.starts_with(y4m::MAGIC) => Some(StreamFormat::Y4m),
        _ => None,
    })
}
