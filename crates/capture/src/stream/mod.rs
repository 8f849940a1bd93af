//! Images and sensor rows from a byte stream: a program's output, standard input, a device.
//!
//! Decoding is left to the caller. A stream is split into images, and damaged ones are skipped and counted;
//! the caller decodes those that it keeps with [`CapturedImage::decode`].

mod buffer;
mod images;
mod mjpeg;
mod png;
mod pnm;
mod raw;
mod samples;
mod split;
mod unknown;
mod y4m;
mod yuv;

use std::io::Read;

pub use images::{ImageStreamOptions, ImageStreamReader, StreamFailure, StreamFormat};
pub use raw::{RawFormat, RawLayout};
pub use yuv::{YuvColour, YuvMatrix, YuvRange};

use crate::{
    CaptureError, Captured, CapturedImage, CapturedInput, InputCounts, Source, SourceContext,
    pipe::StoppableReader,
    rows::{WindowOptions, WindowReader},
};

/// Maximum number of bytes of an unknown stream in its error.
const MAX_SHOWN_BYTES: usize = 16;

/// Content of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamContent {
    /// Images.
    Images(ImageStreamOptions),
    /// Sensor rows, as CSV.
    Rows(WindowOptions),
}

/// A byte stream as a source. After its [`StopHandle`](crate::StopHandle) is triggered, a read in progress is still
/// waited for, except for [`from_stdin`](Self::from_stdin).
pub struct StreamSource<R> {
    context: SourceContext,
    reader: StreamReader<R>,
}

enum StreamReader<R> {
    Images(ImageStreamReader<R>),
    Rows(Box<WindowReader<R>>),
}

impl<R: Read + Send> StreamSource<R> {
    /// Creates a source that reads from a reader.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`].
    pub fn new(context: SourceContext, input: R, content: StreamContent) -> Result<Self, CaptureError> {
        let reader = match content {
            StreamContent::Images(options) => StreamReader::Images(ImageStreamReader::new(input, options)?),
            StreamContent::Rows(options) => {
                StreamReader::Rows(Box::new(WindowReader::new(&context.name, input, options)?))
            }
        };
        Ok(Self { context, reader })
    }
}

impl StreamSource<StoppableReader> {
    /// Creates a source that reads standard input. No other code may read it.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`]; [`CaptureError::SystemCall`] if the process has too many open files.
    pub fn from_stdin(context: SourceContext, content: StreamContent) -> Result<Self, CaptureError> {
        let pipe = StoppableReader::new(std::io::stdin(), &context)?;
        Self::new(context, pipe, content)
    }
}

impl<R: Read + Send> Source for StreamSource<R> {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        if self.context.stop.is_stopped() {
            return Ok(None);
        }
        let next = match &mut self.reader {
            StreamReader::Images(images) => {
                let next = images.next_image().map_err(|failure| capture_error(&self.context, failure));
                next.map(|image: Option<CapturedImage>| image.map(CapturedInput::Image))
            }
            StreamReader::Rows(windows) => {
                windows.next_window().map(|window| window.map(CapturedInput::Window))
            }
        };
        match next {
            // The pipe returns an error when it is stopped.
            Err(_) if self.context.stop.is_stopped() => Ok(None),
            next => Ok(next?.map(|input| self.context.capture_now(input))),
        }
    }

    fn input_counts(&self) -> InputCounts {
        match &self.reader {
            StreamReader::Images(images) => images.input_counts(),
            StreamReader::Rows(windows) => windows.input_counts(),
        }
    }
}

fn capture_error(context: &SourceContext, failure: StreamFailure) -> CaptureError {
    let name = context.name.to_string();
    match failure {
        StreamFailure::Read(source) => CaptureError::ReadStream { name, source },
        StreamFailure::Unknown(mut first) => {
            let fix = unknown::advice_for(&first);
            first.truncate(MAX_SHOWN_BYTES);
            CaptureError::UnknownStream { name, first, fix }
        }
        StreamFailure::Unsupported(reason) => CaptureError::UnsupportedStream { name, reason },
    }
}
