use std::io::{self, ErrorKind, Read};

/// What a reader is asked for at least, while there is room.
const CHUNK: usize = 16 << 10;

/// Bytes of a stream that are not done, never more than a limit.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl Buffer {
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, limit }
    }

    /// What is there.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether it has as much as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes().len() == self.limit
    }

    /// The first `count` bytes are done.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once; how many bytes, zero at the end of the stream. It is not to be called when it is full.
    pub(crate) fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        loop {
            match from.read(&mut self.bytes[self.end..]) {
                Ok(read) => {
                    // A reader that lies about its count must not make bytes that are not there.
                    let read = read.min(self.bytes.len() - self.end);
                    self.end += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn make_room(&mut self) {
        if self.bytes.len() - self.end >= CHUNK {
            return;
        }
        let held = self.end - self.start;
        // Moving what is held costs less than reading it did when at least as much is done.
        if self.start > 0 && (self.start >= held || self.bytes.len() == self.limit) {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
        if self.bytes.len() - self.end < CHUNK && self.bytes.len() < self.limit {
            let len = (2 * self.bytes.len()).max(self.end + CHUNK).min(self.limit);
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
        fn it_holds_what_was_read_and_never_more_than_its_limit(
            steps in prop::collection::vec((any::<bool>(), 0_usize..40_000), 1..60),
            limit in 1_usize..100_000,
        ) {
            let data: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
            let (mut from, mut buffer, mut done) = (&data[..], Buffer::new(limit), 0);
            for (read, count) in steps {
                if read && !buffer.is_full() {
                    prop_assert!(buffer.fill(&mut (&mut from).take(count as u64 + 1)).unwrap() > 0);
                } else {
                    done += count.min(buffer.bytes().len());
                    buffer.consume(count);
                }
                prop_assert!(buffer.bytes.capacity() <= limit);
                prop_assert_eq!(buffer.bytes(), &data[done..][..buffer.bytes().len()]);
            }
        }
    }
}
