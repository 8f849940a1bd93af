use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use lopside_input::csv_rows::{CsvError, CsvStream, RowCounts, TableRow};

use super::position::{FileHead, FileId, FilePlace, MAX_HEAD_BYTES, Position};
use crate::{
    CaptureError, InputCounts,
    rows::{MAX_LINE_BYTES, READ_BYTES, RowWindow, WindowBuilder, WindowOptions, header_error},
};

/// The windows of one growing file.
#[derive(Debug)]
pub(super) struct TailReader {
    path: PathBuf,
    file: File,
    id: FileId,
    buffer: Vec<u8>,
    stream: CsvStream,
    windows: WindowBuilder,
    /// The first bytes of the file.
    head: Vec<u8>,
    /// Number of bytes that were read.
    read_bytes: u64,
    /// The place where the next row begins: the end of the last complete line.
    row_start: u64,
    /// Rows before this place are read for their columns only: their windows are stored.
    skip_until: u64,
    /// The rows before this place were counted before a rewind.
    counted_until: u64,
    /// The counts of these rows.
    counted: RowCounts,
    /// The index of the next window.
    next_index: u64,
    is_resumed: bool,
    stage: Stage,
}

/// How far a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// More lines may be written.
    Growing,
    /// Another file has taken the place of the file; what was written before is still read.
    Ending,
    /// The last line is read.
    Ended,
}

/// The result of reading once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadStep {
    /// There may be more.
    Read,
    /// All complete lines are read.
    AtEnd,
    /// There will be no more windows.
    Finished,
}

impl TailReader {
    /// Opens a file at its beginning. Its first window gets this index.
    pub(super) fn begin(path: &Path, next_index: u64, options: &WindowOptions) -> io::Result<Self> {
        let file = File::open(path)?;
        let id = FileId::of(&file.metadata()?);
        Ok(Self {
            path: path.to_owned(),
            file,
            id,
            buffer: vec![0; READ_BYTES],
            stream: CsvStream::with_table(options.channels.clone(), MAX_LINE_BYTES, &options.table),
            windows: WindowBuilder::new(options),
            head: Vec::new(),
            read_bytes: 0,
            row_start: 0,
            skip_until: 0,
            counted_until: 0,
            counted: RowCounts::default(),
            next_index,
            is_resumed: false,
            stage: Stage::Growing,
        })
    }

    /// Opens a file that was found at a position. The rows before the position are read as well, because they decide about
    /// columns, separator and decimal mark.
    pub(super) fn resume(
        (path, id): &(PathBuf, FileId),
        position: &Position,
        options: &WindowOptions,
    ) -> io::Result<Self> {
        let reader = Self::begin(path, position.next_index, options)?;
        match &position.file {
            Some(place) if reader.id == *id => {
                Ok(Self { skip_until: place.offset, next_index: place.index, is_resumed: true, ..reader })
            }
            // It was replaced just now.
            _ => Ok(reader),
        }
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    pub(super) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Returns the place up to which rows are counted.
    pub(super) fn counted_until(&self) -> u64 {
        self.row_start.max(self.counted_until)
    }

    /// Leaves the rows before this place out of the counts.
    pub(super) fn set_counted(&mut self, counted_until: u64) {
        self.counted_until = counted_until;
    }

    /// Returns the counts of the rows, without those that were counted before.
    pub(super) fn counts(&self) -> InputCounts {
        InputCounts { rows: self.windows.counts().rows.since(self.counted), ..InputCounts::default() }
    }

    /// Returns the next complete window with its index.
    pub(super) fn take_window(&mut self) -> Option<(RowWindow, u64)> {
        let window = self.windows.take_window()?;
        self.next_index += 1;
        Some((window, self.next_index - 1))
    }

    /// Returns the place of a window.
    pub(super) fn place(&self, start: u64, index: u64) -> FilePlace {
        FilePlace { id: self.id, head: FileHead::of(&self.head), offset: start, index }
    }

    /// Reads the file to its present end, and then no further.
    pub(super) fn begin_end(&mut self) {
        self.stage = Stage::Ending;
    }

    /// Reads once, and adds the rows to the windows. After an error, a further call continues.
    pub(super) fn read_step(&mut self, source: &str) -> Result<ReadStep, CaptureError> {
        if self.stage == Stage::Ended {
            return Ok(ReadStep::Finished);
        }
        loop {
            match self.stream.next_table_row() {
                Ok(Some(row)) => self.push(source, row),
                Ok(None) => break,
                Err(error) => self.refuse(source, &error)?,
            }
            if self.windows.has_window() {
                return Ok(ReadStep::Read);
            }
        }
        match self.file.read(&mut self.buffer) {
            Ok(0) if self.stage == Stage::Ending => self.end(source),
            Ok(0) => Ok(ReadStep::AtEnd),
            Ok(len) => {
                self.add_bytes(len);
                Ok(ReadStep::Read)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(ReadStep::Read),
            Err(error) => Err(CaptureError::file_error("read", &self.path)(error)),
        }
    }

    fn add_bytes(&mut self, len: usize) {
        let bytes = &self.buffer[..len.min(READ_BYTES)];
        self.read_bytes += bytes.len() as u64;
        if !self.head.ends_with(b"\n") {
            // The first line tells the file from another one; it does not change any more once a row follows.
            let line_len = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1);
            let missing = MAX_HEAD_BYTES - self.head.len();
            self.head.extend_from_slice(&bytes[..line_len.min(missing)]);
        }
        self.stream.push(bytes);
    }

    /// Ends the windows. Half a line at the end is refused, because its last number may be torn.
    fn end(&mut self, source: &str) -> Result<ReadStep, CaptureError> {
        self.stage = Stage::Ended;
        if let Some(line) = self.stream.incomplete_line() {
            self.refuse(source, &CsvError::IncompleteLine { line })?;
        }
        self.windows.finish();
        Ok(ReadStep::Read)
    }

    fn push(&mut self, source: &str, row: TableRow) {
        let start = std::mem::replace(&mut self.row_start, self.stream.position());
        if start >= self.skip_until {
            self.windows.push(source, row, start);
        }
        self.note_counted(start);
    }

    fn refuse(&mut self, source: &str, error: &CsvError) -> Result<(), CaptureError> {
        let start = std::mem::replace(&mut self.row_start, self.stream.position());
        if start < self.skip_until {
            return Ok(());
        }
        self.windows.refuse(source, error, self.stream.are_columns_found());
        self.note_counted(start);
        header_error(source, error)
    }

    fn note_counted(&mut self, start: u64) {
        if start < self.counted_until {
            self.counted = self.windows.counts().rows;
        }
    }
}
