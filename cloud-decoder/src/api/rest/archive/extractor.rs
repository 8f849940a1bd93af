use axum::{extract::FromRequestParts, http::request::Parts};

use super::super::ApiState;
use crate::{ServeError, archive::ServerArchive};

/// Extractor of the archive. It is the first parameter of a handler, so that a missing archive is reported
/// before any other error.
pub(in crate::api::rest) struct ArchiveExtractor(pub(super) ServerArchive);

impl FromRequestParts<ApiState> for ArchiveExtractor {
    type Rejection = ServeError;

    async fn from_request_parts(_: &mut Parts, api: &ApiState) -> Result<Self, ServeError> {
        api.archive.clone().map(Self).ok_or(ServeError::NoArchive)
    }
}
