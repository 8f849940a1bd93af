use lopside_bundle::{Separator, TableSpec};

use super::{
    columns::Columns, error::CsvError, file::read_record_row, layout::TableRow, record_reader::RecordReader,
};

/// The rows of a stream whose bytes arrive in pieces, with one number per channel each. A row does not depend
/// on the sizes of the pieces.
#[derive(Debug)]
pub struct CsvStream {
    /// Bytes that were pushed, the first `taken` of which were read.
    pushed: Vec<u8>,
    taken: usize,
    /// Number of bytes that were pushed and read before the first byte of `pushed`.
    passed_bytes: u64,
    records: RecordReader,
    columns: Columns,
}

impl CsvStream {
    /// Creates a stream with the columns of these channels. It stores at most `max_line_bytes` of an
    /// incomplete line, and the bytes that were pushed and not read yet.
    #[must_use]
    pub fn new(channels: Vec<String>, max_line_bytes: usize) -> Self {
        Self::with_table(channels, max_line_bytes, &TableSpec::default())
    }

    /// Creates a stream with the columns of these channels in a table of this form.
    #[must_use]
    pub fn with_table(channels: Vec<String>, max_line_bytes: usize, table: &TableSpec) -> Self {
        Self {
            pushed: Vec::new(),
            taken: 0,
            passed_bytes: 0,
            records: RecordReader::new(max_line_bytes, false)
                .with_separator(table.separator.map(Separator::byte)),
            columns: Columns::new(channels, table),
        }
    }

    /// Adds bytes to the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.passed_bytes += self.taken as u64;
        self.pushed.drain(..self.taken);
        self.taken = 0;
        self.pushed.extend_from_slice(bytes);
    }

    /// Returns whether the columns are known.
    #[must_use]
    pub fn are_columns_found(&self) -> bool {
        self.columns.are_found()
    }

    /// Returns the line of which only the beginning was pushed; `None` after the end of a line.
    #[must_use]
    pub fn incomplete_line(&self) -> Option<u64> {
        self.records.incomplete_line()
    }

    /// Returns the number of bytes up to the end of the last line that was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.passed_bytes + self.taken as u64
    }

    /// Returns the numbers of the next complete row; `None` if it needs more bytes.
    ///
    /// # Errors
    /// The reason why a line is refused, also for a missing number. A further call continues with the next line.
    pub fn next_row(&mut self) -> Result<Option<Vec<f32>>, CsvError> {
        self.next_table_row()?.map(TableRow::into_complete_values).transpose()
    }

    /// Returns the next complete row; `None` if it needs more bytes.
    ///
    /// # Errors
    /// The reason why a line is refused. A further call continues with the next line.
    pub fn next_table_row(&mut self) -> Result<Option<TableRow>, CsvError> {
        loop {
            let mut rest = &self.pushed[self.taken..];
            let is_complete = self.records.read(&mut rest);
            self.taken = self.pushed.len() - rest.len();
            if !is_complete? {
                return Ok(None);
            }
            if let Some(row) = read_record_row(&mut self.records, &mut self.columns)? {
                return Ok(Some(row));
            }
        }
    }

    /// Returns the numbers of the next row after the end of the stream, where the last line may lack its line break;
    /// `None` after the last row.
    ///
    /// # Errors
    /// As [`next_row`](Self::next_row).
    pub fn finish(&mut self) -> Result<Option<Vec<f32>>, CsvError> {
        self.finish_table_row()?.map(TableRow::into_complete_values).transpose()
    }

    /// Returns the next row after the end of the stream, where the last line may lack its line break; `None` after the
    /// last row.
    ///
    /// # Errors
    /// As [`next_table_row`](Self::next_table_row).
    pub fn finish_table_row(&mut self) -> Result<Option<TableRow>, CsvError> {
        if let Some(row) = self.next_table_row()? {
            return Ok(Some(row));
        }
        if self.records.finish()? { read_record_row(&mut self.records, &mut self.columns) } else { Ok(None) }
    }
}
