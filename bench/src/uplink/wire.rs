//! The bytes that a real link would carry for the traffic that the relay has passed.
//!
//! The relay sees the payload of TCP. Each of its reads, of at most 1,448 bytes, counts as one segment with
//! 40 bytes of TCP and IPv4 headers; both of its connections use segments of at most this size. Every second
//! segment is acknowledged in the other direction by TCP, with 40 bytes; acknowledgements that could travel
//! with data are counted as well. TCP options, connection setup and teardown, and link-layer headers are not
//! counted.

/// Maximum number of payload bytes per segment.
pub(super) const SEGMENT_BYTES: usize = 1448;
/// Bytes of TCP and IPv4 headers per segment.
pub(super) const HEADER_BYTES: usize = 40;

/// The traffic of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DirectionTraffic {
    /// Bytes of TCP payload.
    payload: u64,
    segments: u64,
}

/// The traffic of both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// Traffic to the cloud.
    pub(super) up: DirectionTraffic,
    /// Traffic to the edge.
    pub(super) down: DirectionTraffic,
}

impl DirectionTraffic {
    /// Counts a segment with `len` payload bytes.
    pub(super) fn add_segment(&mut self, len: usize) {
        self.payload += len as u64;
        self.segments += 1;
    }

    /// Returns the number of bytes with headers.
    fn wire_bytes(self) -> u64 {
        self.payload + HEADER_BYTES as u64 * self.segments
    }

    /// Returns the number of bytes of the acknowledgements that this traffic causes in the other direction.
    fn acknowledgement_bytes(self) -> u64 {
        HEADER_BYTES as u64 * self.segments.div_ceil(2)
    }

    fn since(self, before: Self) -> Self {
        Self { payload: self.payload - before.payload, segments: self.segments - before.segments }
    }
}

impl Traffic {
    /// Returns the traffic since an earlier point.
    pub(super) fn since(self, before: Self) -> Self {
        Self { up: self.up.since(before.up), down: self.down.since(before.down) }
    }

    /// Returns the number of bytes on the wire to the cloud.
    pub(super) fn wire_bytes_up(self) -> u64 {
        self.up.wire_bytes() + self.down.acknowledgement_bytes()
    }

    /// Returns the number of bytes on the wire in both directions.
    pub(super) fn wire_bytes(self) -> u64 {
        self.wire_bytes_up() + self.down.wire_bytes() + self.up.acknowledgement_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_have_headers_and_cause_acknowledgements() {
        let mut before = Traffic::default();
        before.down.add_segment(7);
        let mut now = before;
        for len in [SEGMENT_BYTES, SEGMENT_BYTES, 104] {
            now.up.add_segment(len);
        }
        now.down.add_segment(60);
        let traffic = now.since(before);
        assert_eq!(traffic.wire_bytes_up(), 3000 + 3 * 40 + 40);
        assert_eq!(traffic.wire_bytes(), 3000 + 3 * 40 + 40 + 60 + 40 + 2 * 40);
    }
}
