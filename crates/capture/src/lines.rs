use std::io::{self, BufRead as _, BufReader, ErrorKind, Read};

/// Lines of a stream, of which at most a limited number of bytes is held.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    reader: BufReader<R>,
    limit: usize,
    line: Vec<u8>,
    /// Number of lines so far.
    count: u64,
    /// Whether the current line is over the limit.
    is_overlong: bool,
    /// Whether `line` was returned.
    is_returned: bool,
}

/// A line number, from 1, and the line; `None` for a line over the limit.
pub(crate) type NumberedLine<'a> = (u64, Option<&'a [u8]>);

impl<R: Read> LineReader<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader: BufReader::new(reader),
            limit,
            line: Vec::new(),
            count: 0,
            is_overlong: false,
            is_returned: false,
        }
    }

    /// Returns the next line without its line feed; `None` at the end of the stream. After an error, a
    /// further call continues without loss.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<NumberedLine<'_>>> {
        if std::mem::take(&mut self.is_returned) {
            self.line.clear();
            self.is_overlong = false;
        }
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let (part, consumed) =
                (&bytes[..end.unwrap_or(bytes.len())], end.map_or(bytes.len(), |end| end + 1));
            if self.line.len() + part.len() > self.limit {
                self.is_overlong = true;
                self.line.clear();
            }
            if !self.is_overlong {
                self.line.extend_from_slice(part);
            }
            self.reader.consume(consumed);
            let is_empty = self.line.is_empty() && !self.is_overlong;
            if consumed == 0 && is_empty {
                return Ok(None);
            }
            if end.is_some() || consumed == 0 {
                self.is_returned = true;
                self.count += 1;
                return Ok(Some((self.count, (!self.is_overlong).then_some(&self.line))));
            }
        }
    }
}
