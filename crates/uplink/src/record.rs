use prost::Message as _;

/// A frame with its metadata as the spool stores it: a protobuf message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CapturedFrame {
    /// Capture time of the input, in Unix milliseconds.
    #[prost(sint64, tag = "1")]
    pub captured_ms: i64,
    /// The device's name for the source of the input, at most 128 bytes.
    #[prost(string, tag = "2")]
    pub source: String,
    /// The W3C `traceparent` header of the trace that the frame belongs to; empty for none.
    #[prost(string, tag = "3")]
    pub traceparent: String,
    /// The frame.
    #[prost(bytes = "vec", tag = "4")]
    pub frame: Vec<u8>,
    /// The position of the input in a file that can be read again after a crash. It is not sent to the cloud.
    #[prost(message, optional, tag = "5")]
    pub file_item: Option<FileItem>,
}

/// One input of a file.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct FileItem {
    /// The key of the file in its state at capture time, unique among all files.
    #[prost(fixed64, tag = "1")]
    pub file_key: u64,
    /// Index of the input in the file, from 0.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// Whether it is the last input of the file.
    #[prost(bool, tag = "3")]
    pub is_last: bool,
}

impl CapturedFrame {
    /// Encodes the record for the spool.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Parses a record, or returns the reason why it cannot be parsed.
    pub(crate) fn parse(record: &[u8]) -> Result<Self, String> {
        Self::decode(record).map_err(|error| error.to_string())
    }
}
