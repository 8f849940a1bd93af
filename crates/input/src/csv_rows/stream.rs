use super::{columns::Columns, error::CsvError, record::RecordReader};

/// The rows of a stream whose bytes arrive in pieces, with one number per channel each. A row does not depend
/// on the sizes of the pieces.
#[derive(Debug)]
pub struct CsvStream {
    /// Bytes that were pushed, the first `taken` of which were read.
    pushed: Vec<u8>,
    taken: usize,
    records: RecordReader,
    columns: Columns,
}

impl CsvStream {
    /// Creates a stream with the columns of these channels. It stores at most `max_line_bytes` of an
    /// incomplete line, and the bytes that were pushed and not read yet.
    #[must_use]
    pub fn new(channels: Vec<String>, max_line_bytes: usize) -> Self {
        Self {
            pushed: Vec::new(),
            taken: 0,
            records: RecordReader::new(max_line_bytes, false),
            columns: Columns::new(channels),
        }
    }

    /// Adds bytes to the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pushed.drain(..self.taken);
        self.taken = 0;
        self.pushed.extend_from_slice(bytes);
    }

    /// Returns the next complete row; `None` if it needs more bytes.
    ///
    /// # Errors
    /// The reason why a line is refused. A further call continues with the next line.
    pub fn next_row(&mut self) -> Result<Option<Vec<f32>>, CsvError> {
        loop {
            let mut rest = &self.pushed[self.taken..];
            let is_complete = self.records.read(&mut rest);
            self.taken = self.pushed.len() - rest.len();
            if !is_complete? {
                return Ok(None);
            }
            if let Some(row) = self.columns.read(self.records.record()?)? {
                return Ok(Some(row));
            }
        }
    }

    /// Returns the next row after the end of the stream, where the last line may lack its line break; `None`
    /// after the last row.
    ///
    /// # Errors
    /// As [`next_row`](Self::next_row).
    pub fn finish(&mut self) -> Result<Option<Vec<f32>>, CsvError> {
        if let Some(row) = self.next_row()? {
            return Ok(Some(row));
        }
        if self.records.finish()? { self.columns.read(self.records.record()?) } else { Ok(None) }
    }
}
