//! What the archive knows of a frame, as JSON: the same in lists, events and exports.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lopside_archive::{Class, Frame, FrameMeta, LatentSpace, Score};
use lopside_latent::LatentSpaceId;
use serde::Serialize;
use utoipa::ToSchema;

use super::times::rfc3339;

/// What is known of an archived frame.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ArchivedFrame)]
pub(crate) struct FrameRecord {
    /// Its number in the archive, never used again.
    id: i64,
    device: String,
    /// Which opening of the device's spool numbered it: 16 hexadecimal digits.
    epoch: String,
    class: ClassName,
    /// Its number among the device's frames of the class.
    number: u64,
    /// When it was captured by the device's clock: RFC 3339, UTC.
    captured: String,
    /// When it was archived by the server's clock: RFC 3339, UTC.
    received: String,
    /// What it was captured from.
    source: String,
    /// 16 hexadecimal digits; null where the frame does not say.
    #[schema(required)]
    latent_space: Option<String>,
    /// Bytes of the frame.
    bytes: u64,
    /// The W3C `traceparent` that it came with.
    #[schema(required)]
    trace: Option<String>,
    /// The newest score.
    #[schema(required)]
    score: Option<ScoreRecord>,
}

/// An archived frame with its bytes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WholeFrame)]
pub(crate) struct WholeRecord {
    #[serde(flatten)]
    record: FrameRecord,
    /// The frame in base64.
    frame: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = FrameClass)]
enum ClassName {
    Low,
    Normal,
    High,
}

/// What a head said of a frame.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FrameScore)]
struct ScoreRecord {
    bundle: String,
    head: String,
    version: u32,
    /// The larger, the more unusual.
    score: f64,
    /// The share of normal samples that it exceeds, 0 to 1.
    #[schema(required)]
    quantile: Option<f64>,
    /// The most probable class, where the bundle classifies.
    #[schema(required)]
    label: Option<String>,
}

/// The latent space that a frame names; none where it does not say.
pub(crate) fn space_of(space: LatentSpace) -> Option<LatentSpaceId> {
    (space != LatentSpace::default()).then(|| LatentSpaceId::new(space))
}

impl From<&FrameMeta> for FrameRecord {
    fn from(meta: &FrameMeta) -> Self {
        Self {
            id: meta.id,
            device: meta.device.clone(),
            epoch: format!("{:016x}", meta.epoch),
            class: match meta.class {
                Class::Low => ClassName::Low,
                Class::Normal => ClassName::Normal,
                Class::High => ClassName::High,
            },
            number: meta.number,
            captured: rfc3339(meta.captured_us),
            received: rfc3339(meta.received_us),
            source: meta.source.clone(),
            latent_space: space_of(meta.latent_space).map(|space| space.to_string()),
            bytes: meta.bytes,
            trace: meta.trace.clone(),
            score: meta.score.as_ref().map(ScoreRecord::from),
        }
    }
}

impl From<&Score> for ScoreRecord {
    fn from(score: &Score) -> Self {
        Self {
            bundle: score.head.bundle.clone(),
            head: score.head.head.clone(),
            version: score.head.version,
            score: score.score,
            quantile: score.quantile,
            label: score.label.clone(),
        }
    }
}

impl From<&Frame> for WholeRecord {
    fn from(frame: &Frame) -> Self {
        Self { record: FrameRecord::from(&frame.meta), frame: BASE64_STANDARD.encode(&frame.bytes) }
    }
}
