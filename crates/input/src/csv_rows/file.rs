use std::io::{BufRead as _, BufReader, ErrorKind, Read};

use super::{columns::Columns, error::CsvError, record::RecordReader};

/// Limits on the size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvLimits {
    /// Maximum number of bytes per line.
    pub line_bytes: usize,
    /// Maximum number of bytes per file.
    pub file_bytes: u64,
}

/// The rows of a file, with one number per channel each. After an error, there are no more rows.
#[derive(Debug)]
pub struct CsvRows<R> {
    from: BufReader<R>,
    limits: CsvLimits,
    /// Number of bytes read.
    read_bytes: u64,
    records: RecordReader,
    columns: Columns,
    is_over: bool,
}

impl<R: Read> CsvRows<R> {
    /// Creates the rows of a reader, with the columns of these channels.
    #[must_use]
    pub fn new(from: R, limits: CsvLimits, channels: Vec<String>) -> Self {
        Self {
            from: BufReader::new(from),
            limits,
            read_bytes: 0,
            records: RecordReader::new(limits.line_bytes, true),
            columns: Columns::new(channels),
            is_over: false,
        }
    }

    /// Reads the header of a table with names of its own. Returns the names and the rows, with all columns
    /// until some are [selected](Self::select); an empty file has no names. A first line with a column named
    /// `marker` is a header even if other names are numbers.
    ///
    /// # Errors
    /// [`CsvError::NoHeader`] if the first line is a row of numbers, [`CsvError::InvalidNumber`] if only some
    /// of its cells are numbers, or an error of the file or of the line.
    pub fn with_header(from: R, limits: CsvLimits, marker: &str) -> Result<(Vec<String>, Self), CsvError> {
        let mut rows = Self::new(from, limits, Vec::new());
        let mut names = Vec::new();
        if rows.read_record()? {
            names = rows.columns.read_header(rows.records.record()?, marker)?;
        }
        Ok((names, rows))
    }

    /// Selects columns of a table with names of its own, by their index from 0.
    #[must_use]
    pub fn select(mut self, columns: Vec<usize>) -> Self {
        self.columns.select(columns);
        self
    }

    fn next_row(&mut self) -> Result<Option<Vec<f32>>, CsvError> {
        while self.read_record()? {
            if let Some(row) = self.columns.read(self.records.record()?)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Reads a record; returns false at the end of the file.
    fn read_record(&mut self) -> Result<bool, CsvError> {
        loop {
            let bytes = match self.from.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(CsvError::Read(error)),
            };
            if bytes.is_empty() {
                return self.records.finish();
            }
            let mut rest = bytes;
            let is_complete = self.records.read(&mut rest);
            let used = bytes.len() - rest.len();
            self.from.consume(used);
            self.read_bytes += used as u64;
            if self.read_bytes > self.limits.file_bytes {
                return Err(CsvError::FileTooLong { limit_bytes: self.limits.file_bytes });
            }
            if is_complete? {
                return Ok(true);
            }
        }
    }
}

impl<R: Read> Iterator for CsvRows<R> {
    type Item = Result<Vec<f32>, CsvError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let row = self.next_row().transpose();
        self.is_over = !matches!(row, Some(Ok(_)));
        row
    }
}
