//! The archive over REST: devices, frames, decoded outputs, the live stream and exports.

pub(super) mod decoded;
pub(super) mod devices;
pub(super) mod export;
pub(super) mod frames;
pub(super) mod live;
mod queries;

use axum::{Router, extract::FromRequestParts, http::request::Parts, routing::get};

use super::Api;
use crate::{ServeError, archive::Kept};

/// Returns the routes of the archive.
pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/v1/devices", get(devices::all))
        .route("/v1/frames", get(frames::list))
        .route("/v1/frames/{id}", get(frames::one).delete(frames::delete))
        .route("/v1/frames/{id}/{head}", get(decoded::decoded))
        .route("/v1/live", get(live::live))
        .route("/v1/export", get(export::export))
}

/// Extractor of the archive. It is the first parameter of a handler, so that a missing archive is reported
/// before any other error.
pub(in crate::http) struct InArchive(Kept);

impl FromRequestParts<Api> for InArchive {
    type Rejection = ServeError;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, ServeError> {
        api.kept.clone().map(Self).ok_or(ServeError::NoArchive)
    }
}
