use std::io::{self, BufRead as _, BufReader, ErrorKind, Read};

/// Lines of a stream, of which at most a limited number of bytes is held.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: BufReader<R>,
    limit: usize,
    line: Vec<u8>,
    /// Number of lines so far.
    count: u64,
    /// Whether the current line is over the limit.
    overlong: bool,
    /// Whether `line` was returned.
    done: bool,
}

/// A line number, from 1, and the line; `None` for a line over the limit.
pub(crate) type Numbered<'a> = (u64, Option<&'a [u8]>);

impl<R: Read> Lines<R> {
    pub(crate) fn new(from: R, limit: usize) -> Self {
        Self { from: BufReader::new(from), limit, line: Vec::new(), count: 0, overlong: false, done: false }
    }

    /// Returns the next line without its line feed; `None` at the end of the stream. After an error, a
    /// further call continues without loss.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Numbered<'_>>> {
        if std::mem::take(&mut self.done) {
            self.line.clear();
            self.overlong = false;
        }
        loop {
            let bytes = match self.from.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let (part, used) = (&bytes[..end.unwrap_or(bytes.len())], end.map_or(bytes.len(), |end| end + 1));
            if self.line.len() + part.len() > self.limit {
                self.overlong = true;
                self.line.clear();
            }
            if !self.overlong {
                self.line.extend_from_slice(part);
            }
            self.from.consume(used);
            let nothing = self.line.is_empty() && !self.overlong;
            if used == 0 && nothing {
                return Ok(None);
            }
            if end.is_some() || used == 0 {
                self.done = true;
                self.count += 1;
                return Ok(Some((self.count, (!self.overlong).then_some(&self.line))));
            }
        }
    }
}
