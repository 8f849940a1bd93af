//! The archive over REST: devices, frames, decoded outputs, the live stream and exports.

pub(super) mod decoded;
pub(super) mod devices;
pub(super) mod export;
pub(super) mod frames;
pub(super) mod live;
mod queries;

use axum::{Router, extract::FromRequestParts, http::request::Parts, routing::get};

use super::ApiState;
use crate::{ServeError, archive::ServerArchive};

/// Returns the routes of the archive.
pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/v1/devices", get(devices::list_devices))
        .route("/v1/frames", get(frames::list_frames))
        .route("/v1/frames/{id}", get(frames::get_frame).delete(frames::delete_frame))
        .route("/v1/frames/{id}/{head}", get(decoded::decode_frame))
        .route("/v1/live", get(live::stream_frames))
        .route("/v1/export", get(export::export_frames))
}

/// Extractor of the archive. It is the first parameter of a handler, so that a missing archive is reported
/// before any other error.
pub(in crate::http) struct ArchiveExtractor(ServerArchive);

impl FromRequestParts<ApiState> for ArchiveExtractor {
    type Rejection = ServeError;

    async fn from_request_parts(_: &mut Parts, api: &ApiState) -> Result<Self, ServeError> {
        api.archive.clone().map(Self).ok_or(ServeError::NoArchive)
    }
}
