use std::io::{BufRead as _, BufReader, ErrorKind, Read};

use lopside_bundle::{Separator, TableSpec};

use super::{columns::Columns, error::CsvError, layout::TableRow, record_reader::RecordReader};

/// Limits on the size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvLimits {
    /// Maximum number of bytes per line.
    pub line_bytes: usize,
    /// Maximum number of bytes per file.
    pub file_bytes: u64,
}

/// The rows of a file, with one number per channel each. As an iterator, it refuses a missing number, and has no more
/// rows after an error; [`next_table_row`](Self::next_table_row) does neither.
#[derive(Debug)]
pub struct CsvRows<R> {
    from: BufReader<R>,
    limits: CsvLimits,
    /// Number of bytes read.
    read_bytes: u64,
    records: RecordReader,
    columns: Columns,
    /// The names of a table with names of its own.
    names: Vec<String>,
    is_over: bool,
}

impl<R: Read> CsvRows<R> {
    /// Creates the rows of a reader, with the columns of these channels.
    #[must_use]
    pub fn new(from: R, limits: CsvLimits, channels: Vec<String>) -> Self {
        Self::with_table(from, limits, channels, &TableSpec::default())
    }

    /// Creates the rows of a reader, with the columns of these channels in a table of this form.
    #[must_use]
    pub fn with_table(from: R, limits: CsvLimits, channels: Vec<String>, table: &TableSpec) -> Self {
        let separator = table.separator.map(Separator::byte);
        Self {
            from: BufReader::new(from),
            limits,
            read_bytes: 0,
            records: RecordReader::new(limits.line_bytes, true).with_separator(separator),
            columns: Columns::new(channels, table),
            names: Vec::new(),
            is_over: false,
        }
    }

    /// Returns whether the columns are known.
    #[must_use]
    pub fn are_columns_found(&self) -> bool {
        self.columns.are_found()
    }

    /// Returns the error of a file that ends with a line of text that may be a header; `None` if it has a header or a row.
    #[must_use]
    pub fn unread_header(&self) -> Option<CsvError> {
        self.columns.unread_header()
    }

    /// Reads the next row; returns `None` at the end of the file. Once the columns are known, every line break ends a
    /// row, so that a lost quote costs one line.
    ///
    /// # Errors
    /// The reason why a line is refused. A further call continues with the next line, unless the error
    /// [ends the table](CsvError::ends_table).
    pub fn next_table_row(&mut self) -> Result<Option<TableRow>, CsvError> {
        if self.is_over {
            return Ok(None);
        }
        let row = self.read_row();
        if self.columns.are_found() {
            self.records.end_at_lines();
        }
        self.is_over = row.as_ref().map_or_else(CsvError::ends_table, Option::is_none);
        row
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
            rows.names.clone_from(&names);
            rows.records.keep_separator();
        }
        Ok((names, rows))
    }

    /// Selects columns of a table with names of its own, by their index from 0.
    #[must_use]
    pub fn select(mut self, columns: Vec<usize>) -> Self {
        self.columns.select(&self.names, columns);
        self
    }

    fn read_row(&mut self) -> Result<Option<TableRow>, CsvError> {
        while self.read_record()? {
            if let Some(row) = read_record_row(&mut self.records, &mut self.columns)? {
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
        let row = self.read_row().and_then(|row| row.map(TableRow::into_complete_values).transpose());
        self.is_over = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

/// Reads the record that was completed last as a row; returns `None` if it is a header or another line that is no row.
pub(super) fn read_record_row(
    records: &mut RecordReader,
    columns: &mut Columns,
) -> Result<Option<TableRow>, CsvError> {
    let has_comma_separator = records.has_comma_separator();
    let row = columns.read(records.record()?, has_comma_separator);
    if columns.are_found() {
        records.keep_separator();
    }
    row
}
