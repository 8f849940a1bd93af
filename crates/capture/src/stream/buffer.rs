use std::io::{self, ErrorKind, Read};

/// Minimum number of bytes per read, while there is space.
const MIN_READ_BYTES: usize = 16 << 10;

/// The unprocessed bytes of a stream, at most a fixed limit.
#[derive(Debug)]
pub(crate) struct StreamBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl StreamBuffer {
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, limit }
    }

    /// Returns the unprocessed bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Returns whether the buffer holds as many bytes as its limit.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes().len() == self.limit
    }

    /// Marks the first `count` bytes as processed.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once and returns the number of bytes, zero at the end of the stream. It must not be called while
    /// the buffer is full.
    pub(crate) fn fill(&mut self, reader: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        loop {
            match reader.read(&mut self.bytes[self.end..]) {
                Ok(count) => {
                    // A reader that returns too large a count must not make unread bytes visible.
                    let count = count.min(self.bytes.len() - self.end);
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn make_room(&mut self) {
        if self.bytes.len() - self.end >= MIN_READ_BYTES {
            return;
        }
        let content_len = self.end - self.start;
        // Bytes are moved only if at least as many are processed, so that moving costs less than reading did.
        if self.start > 0 && (self.start >= content_len || self.bytes.len() == self.limit) {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, content_len);
        }
        if self.bytes.len() - self.end < MIN_READ_BYTES && self.bytes.len() < self.limit {
            let len = (2 * self.bytes.len()).max(self.end + MIN_READ_BYTES).min(self.limit);
            self.bytes.reserve_exact(len - self.bytes.len());
            self.bytes.resize(len, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_the_unconsumed_bytes_within_its_limit(
            steps in prop::collection::vec((any::<bool>(), 0_usize..40_000), 1..60),
            limit in 1_usize..100_000,
        ) {
            let data: Vec<u8> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
            let (mut source, mut buffer, mut consumed) = (&data[..], StreamBuffer::new(limit), 0);
            for (is_read, count) in steps {
                if is_read && !buffer.is_full() {
                    prop_assert!(buffer.fill(&mut (&mut source).take(count as u64 + 1)).unwrap() > 0);
                } else {
                    consumed += count.min(buffer.bytes().len());
                    buffer.consume(count);
                }
                prop_assert!(buffer.bytes.capacity() <= limit);
                prop_assert_eq!(buffer.bytes(), &data[consumed..][..buffer.bytes().len()]);
            }
        }
    }
}
