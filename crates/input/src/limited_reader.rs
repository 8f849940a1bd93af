use std::io::{self, ErrorKind, Read};

/// A reader that fails at the first byte beyond a limit. Unlike [`Read::take`], it does not end there, so that a
/// file over the limit is not mistaken for a shorter one.
#[derive(Debug)]
pub struct LimitedReader<R> {
    reader: R,
    limit_bytes: u64,
    remaining_bytes: u64,
    is_over_limit: bool,
}

impl<R: Read> LimitedReader<R> {
    /// Creates a reader of at most `limit_bytes` bytes.
    #[must_use]
    pub fn new(reader: R, limit_bytes: u64) -> Self {
        Self { reader, limit_bytes, remaining_bytes: limit_bytes, is_over_limit: false }
    }

    /// Returns 0 if the inner reader is at its end, otherwise the error of the limit.
    fn read_end(&mut self) -> io::Result<usize> {
        self.is_over_limit = self.is_over_limit || self.reader.read(&mut [0])? > 0;
        if self.is_over_limit { Err(over_limit(self.limit_bytes)) } else { Ok(0) }
    }
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.remaining_bytes == 0 {
            return self.read_end();
        }
        let allowed = usize::try_from(self.remaining_bytes).map_or(buffer.len(), |len| len.min(buffer.len()));
        let count = self.reader.read(&mut buffer[..allowed])?;
        self.remaining_bytes = self.remaining_bytes.saturating_sub(count as u64);
        Ok(count)
    }
}

/// Returns an error of the kind [`FileTooLarge`](ErrorKind::FileTooLarge), which no read of a file has otherwise.
fn over_limit(limit_bytes: u64) -> io::Error {
    let message =
        format!("over the limit of {limit_bytes} bytes per file, after decompression: split the file");
    io::Error::new(ErrorKind::FileTooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_within_the_limit_is_read_and_a_longer_one_fails_at_the_limit() {
        for limit in 0..12_u64 {
            let mut reader = LimitedReader::new(&b"ten bytes."[..], limit);
            let mut bytes = Vec::new();
            let result = reader.read_to_end(&mut bytes);
            assert_eq!(bytes.len() as u64, limit.min(10));
            assert_eq!(result.is_ok(), limit >= 10, "{limit}");
            if let Err(error) = result {
                assert_eq!(error.kind(), ErrorKind::FileTooLarge);
                assert!(error.to_string().contains(&format!("limit of {limit} bytes")), "{error}");
                assert!(reader.read(&mut [0]).is_err(), "a further read fails as well");
            }
        }
    }
}
