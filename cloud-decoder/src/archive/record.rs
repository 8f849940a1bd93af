//! Metadata of an archived frame as JSON, the same in lists, events and exports.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lopside_archive::{ClockQuality, Frame, FrameMeta, LatentSpaceKey, Score};
use lopside_delivery::{Class, GeoPoint};
use lopside_latent::LatentSpaceId;
use serde::Serialize;
use utoipa::ToSchema;

use super::times::format_rfc3339;

/// Metadata of an archived frame.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ArchivedFrame)]
pub(crate) struct FrameRecord {
    /// The id of the frame in the archive. Ids are never reused.
    id: i64,
    device: String,
    /// The epoch of the device's spool in which the frame was numbered, as 16 hexadecimal digits. Each opening
    /// of the spool begins an epoch.
    epoch: String,
    class: ClassName,
    /// The number of the frame among the device's frames of the class.
    number: u64,
    /// Time of capture by the device's clock: RFC 3339, UTC.
    captured: String,
    /// Time of capture, corrected by the deviation that the device's clock had when the device connected: RFC 3339,
    /// UTC. It is the time of archiving if the time of capture is impossible. Lists are ordered by this time.
    corrected: String,
    clock: ClockName,
    /// Time of archiving by the server's clock: RFC 3339, UTC.
    received: String,
    /// The source that the frame was captured from.
    source: String,
    /// The latent space, as 16 hexadecimal digits; null if the frame does not name one.
    #[schema(required)]
    latent_space: Option<String>,
    /// Size of the frame in bytes.
    bytes: u64,
    /// The W3C `traceparent` that the device sent with the frame.
    #[schema(required)]
    trace: Option<String>,
    /// Whether the device found the input damaged, so that a part of the frame shows something else than the input
    /// did.
    damaged: bool,
    /// The place of capture, if the device was configured to send it.
    #[schema(required)]
    location: Option<LocationRecord>,
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
    /// The bytes of the frame, in base64.
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

/// How far a time from the clock of a device can be trusted. `unknown`: the device did not say. `synchronised`: a source
/// of time had set the clock. `unsynchronised`: nothing had set it since the device started. `impossible`: the time of
/// capture is before 2020, or more than a day after the arrival of the frame.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ClockQuality)]
pub(crate) enum ClockName {
    Unknown,
    Synchronised,
    Unsynchronised,
    Impossible,
}

/// The score of a frame by one head.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FrameScore)]
struct ScoreRecord {
    bundle: String,
    head: String,
    version: u32,
    /// The anomaly score; larger is more unusual.
    score: f64,
    /// The share of normal samples with a lower score, 0 to 1.
    #[schema(required)]
    quantile: Option<f64>,
    /// The most probable class, if the bundle classifies.
    #[schema(required)]
    label: Option<String>,
}

/// A point on the earth, as in WGS 84.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Location)]
struct LocationRecord {
    /// Degrees north of the equator.
    latitude: f64,
    /// Degrees east of Greenwich.
    longitude: f64,
    /// Height above the sea in metres.
    #[schema(required)]
    altitude: Option<f64>,
}

/// Converts the latent space of an archived frame; returns `None` if the frame does not name one.
pub(crate) fn latent_space_id(space: LatentSpaceKey) -> Option<LatentSpaceId> {
    (space != LatentSpaceKey::default()).then(|| LatentSpaceId::new(space))
}

impl From<&FrameMeta> for FrameRecord {
    fn from(meta: &FrameMeta) -> Self {
        Self {
            id: meta.id,
            device: meta.device.to_string(),
            epoch: format!("{:016x}", meta.epoch),
            class: match meta.class {
                Class::Low => ClassName::Low,
                Class::Normal => ClassName::Normal,
                Class::High => ClassName::High,
            },
            number: meta.number,
            captured: format_rfc3339(meta.captured_us),
            corrected: format_rfc3339(meta.corrected_us),
            clock: meta.clock.into(),
            received: format_rfc3339(meta.received_us),
            source: meta.source.to_string(),
            latent_space: latent_space_id(meta.latent_space).map(|space| space.to_string()),
            bytes: meta.bytes,
            trace: meta.trace.clone(),
            damaged: meta.marks.is_damaged,
            location: meta.marks.location.map(LocationRecord::from),
            score: meta.score.as_ref().map(ScoreRecord::from),
        }
    }
}

impl From<ClockQuality> for ClockName {
    fn from(quality: ClockQuality) -> Self {
        match quality {
            ClockQuality::Unknown => Self::Unknown,
            ClockQuality::Synchronised => Self::Synchronised,
            ClockQuality::Unsynchronised => Self::Unsynchronised,
            ClockQuality::Impossible => Self::Impossible,
        }
    }
}

impl From<GeoPoint> for LocationRecord {
    fn from(point: GeoPoint) -> Self {
        Self { latitude: point.latitude(), longitude: point.longitude(), altitude: point.altitude_m() }
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
