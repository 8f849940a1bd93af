use lopside_delivery::{FrameMarks, GeoPoint};
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
    /// What was found out about the input.
    #[prost(message, optional, tag = "6")]
    pub marks: Option<CapturedMarks>,
}

/// What was found out about an input besides its contents, as the spool stores it. The place of capture has the units of
/// a [`GeoPoint`].
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct CapturedMarks {
    #[prost(bool, tag = "1")]
    damaged: bool,
    #[prost(sfixed32, optional, tag = "2")]
    latitude_e7: Option<i32>,
    #[prost(sfixed32, optional, tag = "3")]
    longitude_e7: Option<i32>,
    #[prost(sint32, optional, tag = "4")]
    altitude_cm: Option<i32>,
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

impl From<FrameMarks> for CapturedMarks {
    fn from(FrameMarks { is_damaged, location }: FrameMarks) -> Self {
        Self {
            damaged: is_damaged,
            latitude_e7: location.map(GeoPoint::latitude_e7),
            longitude_e7: location.map(GeoPoint::longitude_e7),
            altitude_cm: location.and_then(GeoPoint::altitude_cm),
        }
    }
}

impl From<CapturedMarks> for FrameMarks {
    /// A place that is not on the earth is left out.
    fn from(marks: CapturedMarks) -> Self {
        let degrees = marks.latitude_e7.zip(marks.longitude_e7);
        let location = degrees.and_then(|(latitude_e7, longitude_e7)| {
            GeoPoint::from_units(latitude_e7, longitude_e7, marks.altitude_cm)
        });
        Self { is_damaged: marks.damaged, location }
    }
}

impl CapturedFrame {
    /// Adds what was found out about the input.
    #[must_use]
    pub fn with_marks(mut self, marks: FrameMarks) -> Self {
        self.marks = (!marks.is_empty()).then(|| marks.into());
        self
    }

    /// Returns what was found out about the input.
    #[must_use]
    pub fn frame_marks(&self) -> FrameMarks {
        self.marks.map(FrameMarks::from).unwrap_or_default()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_the_spool() {
        let location = GeoPoint::from_degrees(-33.8, 151.2, Some(-4.5));
        for marks in [
            FrameMarks::default(),
            FrameMarks { is_damaged: true, location: None },
            FrameMarks { is_damaged: false, location: GeoPoint::from_units(0, 0, None) },
            FrameMarks { is_damaged: true, location },
        ] {
            let captured = CapturedFrame { frame: vec![1, 2], ..CapturedFrame::default() }.with_marks(marks);
            let parsed = CapturedFrame::parse(&captured.to_record()).unwrap();
            assert_eq!((parsed.frame_marks(), &parsed.frame[..]), (marks, &[1, 2][..]));
        }
    }

    #[test]
    fn a_record_without_marks_is_as_long_as_before() {
        let captured = CapturedFrame { frame: vec![7; 25], ..CapturedFrame::default() };
        let marked = captured.clone().with_marks(FrameMarks::default());
        assert_eq!(marked.to_record(), captured.to_record());
        assert_eq!(captured.to_record().len(), 27);
    }
}
