use std::sync::Arc;

use lopside_delivery::{Class, FrameMarks};

use crate::{ClockQuality, HeadKey, LatentSpaceKey};

/// The metadata of an archived frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameMeta {
    /// The id of the frame in the archive, which is never reused.
    pub id: i64,
    /// The name of the device.
    pub device: Arc<str>,
    /// The opening of the device's spool that numbered the frame.
    pub epoch: u64,
    /// The class of the frame.
    pub class: Class,
    /// The number of the frame in its class.
    pub number: u64,
    /// Time of capture by the device's clock, in microseconds since 1970.
    pub captured_us: i64,
    /// Time of capture, corrected by the offset of the device's clock, in microseconds since 1970. It is the time of
    /// archiving if the time of capture is impossible. Lists are ordered by it, with a resolution of a millisecond.
    pub corrected_us: i64,
    /// How far the time of capture can be trusted.
    pub clock: ClockQuality,
    /// Time of archiving by the server's clock, in microseconds since 1970.
    pub received_us: i64,
    /// Description of the source that it was captured from.
    pub source: Arc<str>,
    /// The digest that the device sent.
    pub digest: u32,
    /// The latent space of the frame.
    pub latent_space: LatentSpaceKey,
    /// The trace that the frame belongs to, a W3C `traceparent`.
    pub trace: Option<String>,
    /// What the device found out about the input.
    pub marks: FrameMarks,
    /// Size of the frame in bytes.
    pub bytes: u64,
    /// The newest score; `None` if the frame was not scored or the head could not read it.
    pub score: Option<Score>,
}

/// The newest score of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The head that computed the score.
    pub head: HeadKey,
    /// The anomaly score; larger is more unusual.
    pub score: f64,
    /// The share of normal samples that the score exceeds, 0 to 1.
    pub quantile: Option<f64>,
    /// The label of the recognised class.
    pub label: Option<String>,
}

/// A frame with its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The metadata of the frame.
    pub meta: FrameMeta,
    /// The bytes of the frame, as the device sent them.
    pub bytes: Vec<u8>,
}
