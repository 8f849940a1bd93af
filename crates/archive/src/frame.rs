use crate::{Class, HeadKey, LatentSpace};

/// What the archive knows of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameMeta {
    /// Its number in the archive, never used again.
    pub id: i64,
    /// The device's name.
    pub device: String,
    /// Which opening of the device's spool numbered it.
    pub epoch: u64,
    /// Its class.
    pub class: Class,
    /// Its number there.
    pub number: u64,
    /// When it was captured by the edge's clock, in microseconds since 1970.
    pub captured_us: i64,
    /// When it was archived by the server's clock, in microseconds since 1970.
    pub received_us: i64,
    /// What it was captured from.
    pub source: String,
    /// The digest that the edge gave.
    pub digest: u32,
    /// Its latent space.
    pub latent_space: LatentSpace,
    /// The trace that it belongs to, a W3C `traceparent`.
    pub trace: Option<String>,
    /// Bytes of the frame.
    pub bytes: u64,
    /// Its newest score.
    pub score: Option<Score>,
}

/// A frame's newest score.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Which head gave it.
    pub head: HeadKey,
    /// The larger, the more unusual.
    pub score: f64,
    /// The share of normal samples that it exceeds, 0 to 1.
    pub quantile: Option<f64>,
    /// The label of the class that was seen.
    pub label: Option<String>,
}

/// A frame with its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What is known of it.
    pub meta: FrameMeta,
    /// The frame, as the edge sent it.
    pub bytes: Vec<u8>,
}
