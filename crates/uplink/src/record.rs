use prost::Message as _;

/// What the spool keeps of a frame, as a protobuf message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Captured {
    /// When its input was captured, in milliseconds since 1970.
    #[prost(sint64, tag = "1")]
    pub captured_ms: i64,
    /// What the device calls the source of its input: at most 128 bytes.
    #[prost(string, tag = "2")]
    pub source: String,
    /// The trace that it belongs to, as in the W3C's header; empty for none.
    #[prost(string, tag = "3")]
    pub traceparent: String,
    /// The frame.
    #[prost(bytes = "vec", tag = "4")]
    pub frame: Vec<u8>,
    /// Where it comes from, if that can be read again after a crash. It stays on the edge.
    #[prost(message, optional, tag = "5")]
    pub item: Option<Item>,
}

/// One input of a file.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Item {
    /// What tells the file, as it was, from all others.
    #[prost(fixed64, tag = "1")]
    pub file: u64,
    /// The input's place in the file, from 0 on.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// Whether it is the file's last one.
    #[prost(bool, tag = "3")]
    pub is_last: bool,
}

impl Captured {
    /// The record.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// What a record says; why not, if it is none.
    pub(crate) fn parse(record: &[u8]) -> Result<Self, String> {
        Self::decode(record).map_err(|error| error.to_string())
    }
}
