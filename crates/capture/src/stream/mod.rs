//! Images and sensor rows from a byte stream: a program's output, standard input, a device.
//!
//! Decoding is left to the caller. A stream is cut into images, and damaged ones are skipped and counted; the
//! caller decodes those that it keeps with [`Picture::decode`].

mod buffer;
mod cut;
mod mjpeg;
mod pictures;
mod pnm;
mod raw;

use std::io::Read;

pub use pictures::{PictureFormat, PictureOptions, Pictures, StreamFailure};
pub use raw::{Raw, RawFormat};

use crate::{
    CaptureError, Captured, Context, Counted, Picture, Source, What,
    pipe::Pipe,
    rows::{RowOptions, Windows},
};

/// Content of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Images.
    Pictures(PictureOptions),
    /// Sensor rows, as CSV.
    Rows(RowOptions),
}

/// A byte stream as a source. After its [`Stop`](crate::Stop) is triggered, a read in progress is still
/// waited for, except for [`stdin`](Self::stdin).
pub struct Stream<R> {
    context: Context,
    parts: Parts<R>,
}

enum Parts<R> {
    Pictures(Pictures<R>),
    Rows(Windows<R>),
}

impl<R: Read + Send> Stream<R> {
    /// Creates a source that reads from a reader.
    ///
    /// # Errors
    /// [`CaptureError::Setting`].
    pub fn new(context: Context, from: R, content: Content) -> Result<Self, CaptureError> {
        let parts = match content {
            Content::Pictures(options) => Parts::Pictures(Pictures::new(from, options)?),
            Content::Rows(options) => Parts::Rows(Windows::new(&context.name, from, options)?),
        };
        Ok(Self { context, parts })
    }
}

impl Stream<Pipe> {
    /// Creates a source that reads standard input. No other code may read it.
    ///
    /// # Errors
    /// [`CaptureError::Setting`]; [`CaptureError::System`] if the process has too many open files.
    pub fn stdin(context: Context, content: Content) -> Result<Self, CaptureError> {
        let pipe = Pipe::new(std::io::stdin(), &context.stop)?;
        Self::new(context, pipe, content)
    }
}

impl<R: Read + Send> Source for Stream<R> {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        if self.context.stop.is_stopped() {
            return Ok(None);
        }
        let next = match &mut self.parts {
            Parts::Pictures(pictures) => {
                let next = pictures.next_picture().map_err(|failure| told(&self.context, failure));
                next.map(|picture: Option<Picture>| picture.map(What::Picture))
            }
            Parts::Rows(windows) => windows.next_window().map(|window| window.map(What::Rows)),
        };
        match next {
            // The pipe returns an error when it is stopped.
            Err(_) if self.context.stop.is_stopped() => Ok(None),
            next => Ok(next?.map(|what| self.context.captured(what))),
        }
    }

    fn counted(&self) -> Counted {
        match &self.parts {
            Parts::Pictures(pictures) => pictures.counted(),
            Parts::Rows(windows) => windows.counted(),
        }
    }
}

fn told(context: &Context, failure: StreamFailure) -> CaptureError {
    let name = context.name.to_string();
    match failure {
        StreamFailure::Read(source) => CaptureError::Read { name, source },
        StreamFailure::Unknown(first) => CaptureError::UnknownStream { name, first },
    }
}
