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
