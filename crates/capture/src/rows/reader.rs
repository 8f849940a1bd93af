use std::{
    io::{ErrorKind, Read},
    sync::Arc,
};

use lopside_input::csv_rows::{CsvError, CsvStream, RefusedRow, RowCounts, TableRow};

use super::{RowWindow, WindowBuilder, WindowOptions};
use crate::{CaptureError, CapturedWindow, InputCounts};

/// The longest line, in bytes.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 10;
/// Maximum number of bytes per read.
pub(crate) const READ_BYTES: usize = 8 << 10;

/// The windows of a stream.
pub struct WindowReader<R> {
    name: Arc<str>,
    reader: R,
    /// The buffer of a read.
    buffer: Vec<u8>,
    stream: CsvStream,
    windows: WindowBuilder,
    has_ended: bool,
}

impl<R: Read> WindowReader<R> {
    /// Creates the windows of a reader; `name` identifies the stream in messages.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`] without channels, for a length or stride of 0, for windows over 2^24
    /// values, and for a table that cannot have these channels.
    pub fn new(name: &Arc<str>, reader: R, options: WindowOptions) -> Result<Self, CaptureError> {
        options.check()?;
        Ok(Self {
            name: name.clone(),
            reader,
            buffer: vec![0; READ_BYTES],
            windows: WindowBuilder::new(&options),
            stream: CsvStream::with_table(options.channels, MAX_LINE_BYTES, &options.table),
            has_ended: false,
        })
    }

    /// Waits for the next window; returns `None` at the end of the stream.
    ///
    /// # Errors
    /// [`CaptureError::MissingColumns`], or [`CaptureError::ReadStream`].
    pub fn next_window(&mut self) -> Result<Option<CapturedWindow>, CaptureError> {
        loop {
            if let Some(RowWindow { values, measured_at, .. }) = self.windows.take_window() {
                return Ok(Some(CapturedWindow { values, measured_at }));
            }
            if self.has_ended {
                return Ok(None);
            }
            match self.next_row() {
                // The places of rows in a stream are of no use: it cannot be read again.
                Ok(Some(row)) => self.windows.push(&self.name, row, 0),
                Ok(None) => self.end(),
                Err(CsvError::Read(source)) => {
                    return Err(CaptureError::ReadStream { name: self.name.to_string(), source });
                }
                Err(error) => self.refuse(&error)?,
            }
        }
    }

    /// Returns the numbers of windows returned and of lines refused, and what has become of all rows.
    pub fn input_counts(&self) -> InputCounts {
        self.windows.counts()
    }

    /// Returns the last line that was refused or left out.
    pub fn last_refused(&self) -> Option<&RefusedRow> {
        self.windows.last_refused()
    }

    /// Waits for the next row; returns `None` at the end of the stream.
    fn next_row(&mut self) -> Result<Option<TableRow>, CsvError> {
        loop {
            if let Some(row) = self.stream.next_table_row()? {
                return Ok(Some(row));
            }
            match self.reader.read(&mut self.buffer) {
                Ok(0) => return self.stream.finish_table_row(),
                Ok(len) => self.stream.push(&self.buffer[..len.min(READ_BYTES)]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(CsvError::Read(error)),
            }
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.windows.finish();
        let RowCounts { used, unused, .. } = self.windows.counts().rows;
        if unused > 0 {
            tracing::warn!(source = %self.name, used, unused, "the stream has ended; some rows are in no window");
        }
    }

    fn refuse(&mut self, error: &CsvError) -> Result<(), CaptureError> {
        self.windows.refuse(&self.name, error, self.stream.are_columns_found());
        header_error(&self.name, error)
    }
}

impl<R> Drop for WindowReader<R> {
    fn drop(&mut self) {
        let waiting = self.windows.counts().rows.waiting;
        if waiting > 0 {
            tracing::warn!(source = %self.name, rows = waiting, "the source was stopped; the rows of an unfinished window are lost");
        }
    }
}

/// Returns the error of a header that does not say which columns to read.
pub(crate) fn header_error(name: &str, error: &CsvError) -> Result<(), CaptureError> {
    match error {
        CsvError::MissingChannels { line, missing, .. } | CsvError::UnknownHeader { line, missing, .. } => {
            let (name, missing) = (name.to_owned(), missing.clone());
            Err(CaptureError::MissingColumns { name, line: *line, missing })
        }
        _ => Ok(()),
    }
}
