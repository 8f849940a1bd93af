//! The archive over REST: devices, frames, decoded outputs, the live stream, exports and the audit log.

pub(super) mod audit;
pub(super) mod decoded;
pub(super) mod devices;
pub(super) mod export;
mod extractor;
pub(super) mod frames;
pub(super) mod live;
mod queries;

use self::extractor::ArchiveExtractor;
use super::ApiState;
use crate::auth::{ApiRouter, Scope};

/// Returns the routes of the archive.
pub(super) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .get("/v1/audit", Scope::Admin, audit::list_audit)
        .get("/v1/devices", Scope::Archive, devices::list_devices)
        .get("/v1/frames", Scope::Archive, frames::list_frames)
        .get("/v1/frames/{id}", Scope::Archive, frames::get_frame)
        .delete("/v1/frames/{id}", Scope::Admin, frames::delete_frame)
        .get("/v1/frames/{id}/{head}", Scope::Archive, decoded::decode_frame)
        .get("/v1/live", Scope::Archive, live::stream_frames)
        .get("/v1/export", Scope::Archive, export::export_frames)
}
