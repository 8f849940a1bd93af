//! Bytes on the wire, as a link would carry what the relay has passed.
//!
//! The relay sees what is in TCP. Each of its reads, of at most 1,448 bytes, counts as a segment, with 40 bytes of headers
//! of TCP and IPv4; both of its connections have segments of no more than that. For every second segment goes an
//! acknowledgement of TCP's own the other way, 40 bytes too; those that could travel with data are counted all the same.
//! TCP's options, its beginning and its end, and the link's own frames are not counted.

/// The most bytes of a segment.
pub(super) const SEGMENT: usize = 1448;
/// Bytes of its headers.
pub(super) const HEADERS: usize = 40;

/// What has passed one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Bytes in TCP.
    payload: u64,
    segments: u64,
}

/// What has passed both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// To the cloud.
    pub(super) up: Passed,
    /// To the edge.
    pub(super) down: Passed,
}

impl Passed {
    /// A segment with so many bytes passes.
    pub(super) fn add(&mut self, len: usize) {
        self.payload += len as u64;
        self.segments += 1;
    }

    /// Its bytes with headers.
    fn bytes(self) -> u64 {
        self.payload + HEADERS as u64 * self.segments
    }

    /// Bytes of the acknowledgements that it has called for, which go the other way.
    fn acknowledgements(self) -> u64 {
        HEADERS as u64 * self.segments.div_ceil(2)
    }

    fn since(self, before: Self) -> Self {
        Self { payload: self.payload - before.payload, segments: self.segments - before.segments }
    }
}

impl Traffic {
    /// What has passed since then.
    pub(super) fn since(self, before: Self) -> Self {
        Self { up: self.up.since(before.up), down: self.down.since(before.down) }
    }

    /// Bytes on the wire to the cloud.
    pub(super) fn bytes_up(self) -> u64 {
        self.up.bytes() + self.down.acknowledgements()
    }

    /// Bytes on the wire, both ways.
    pub(super) fn bytes(self) -> u64 {
        self.bytes_up() + self.down.bytes() + self.up.acknowledgements()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_have_headers_and_call_for_acknowledgements() {
        let mut before = Traffic::default();
        before.down.add(7);
        let mut now = before;
        for len in [SEGMENT, SEGMENT, 104] {
            now.up.add(len);
        }
        now.down.add(60);
        let passed = now.since(before);
        assert_eq!(passed.bytes_up(), 3000 + 3 * 40 + 40);
        assert_eq!(passed.bytes(), 3000 + 3 * 40 + 40 + 60 + 40 + 2 * 40);
    }
}
