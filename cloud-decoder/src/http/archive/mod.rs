//! The archive over REST: devices, frames, what heads make of them, what comes in, and all of it as a file.

pub(super) mod decoded;
pub(super) mod devices;
pub(super) mod export;
pub(super) mod frames;
pub(super) mod live;
mod queries;

use axum::{Router, extract::FromRequestParts, http::request::Parts, routing::get};

use super::Api;
use crate::{ServeError, archive::Kept};

/// The archive's routes.
pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/v1/devices", get(devices::all))
        .route("/v1/frames", get(frames::list))
        .route("/v1/frames/{id}", get(frames::one).delete(frames::delete))
        .route("/v1/frames/{id}/{head}", get(decoded::decoded))
        .route("/v1/live", get(live::live))
        .route("/v1/export", get(export::export))
}

/// The archive that is kept; first of a handler's parameters, because without one nothing else matters.
pub(in crate::http) struct InArchive(Kept);

impl FromRequestParts<Api> for InArchive {
    type Rejection = ServeError;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, ServeError> {
        api.kept.clone().map(Self).ok_or(ServeError::NoArchive)
    }
}
