//! Maps [`ServeError`] to HTTP: a status and the body `{"error": "…"}`.

use std::time::Duration;

use axum::{
    Json,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use lopside_decoder::DecodeError;
use serde::Serialize;
use utoipa::ToSchema;

use super::error_message::error_message;
use crate::{ServeError, telemetry::request_context::current_request_id, transport::BodyRefusal};

/// The body of every error response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// The problem and how to fix it.
    error: String,
}

/// Returns the value of `Retry-After`: the delay in whole seconds, rounded up, and at least 1.
pub(crate) fn retry_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The reason why the REST API refused a request: an error of every transport, or an error of HTTP only.
#[derive(Debug)]
pub(crate) enum ApiError {
    Serve(ServeError),
    Http(StatusCode, String),
}

impl From<ServeError> for ApiError {
    fn from(error: ServeError) -> Self {
        Self::Serve(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Serve(error) => error.into_response(),
            Self::Http(status, error) => {
                (status, Json(ErrorBody { error: error_message(&error) })).into_response()
            }
        }
    }
}

impl IntoResponse for ServeError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Decode(error) => decode_status(error),
            Self::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            Self::BodyRefused(BodyRefusal::TooSlow(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::DeviceForbidden(_) => StatusCode::FORBIDDEN,
            Self::UnknownFrame(_)
            | Self::UnknownChannel(_)
            | Self::UnknownFile(_)
            | Self::NoArchive
            | Self::NoChannels => StatusCode::NOT_FOUND,
            Self::FrameConflict(_) | Self::ConnectionReplaced => StatusCode::CONFLICT,
            Self::ChannelUnavailable { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::CostLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::CostTooHigh { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::OffsetOutOfRange { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::BodyRefused(_) | Self::Stopping | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::ArchiveUnavailable(reason) => {
                tracing::error!(reason, request_id = current_request_id(), "the archive failed");
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(reason) => {
                tracing::error!(reason, request_id = current_request_id(), "request failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let retry_after = match &self {
            Self::Decode(DecodeError::Overloaded { retry_after, .. }) => Some(*retry_after),
            Self::BodyRefused(refusal) => refusal.retry_after(),
            Self::CostLimited { wait } => Some(*wait),
            Self::Stopping | Self::NotReady(_) | Self::ArchiveUnavailable(_) => Some(Duration::ZERO),
            _ => None,
        };
        let mut response = (status, Json(ErrorBody { error: error_message(&self) })).into_response();
        if let Some(wait) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, retry_seconds(wait).into());
        }
        response
    }
}

fn decode_status(error: &DecodeError) -> StatusCode {
    match error {
        DecodeError::InvalidRequest(_)
        | DecodeError::InvalidFrame { .. }
        | DecodeError::ImageTooLarge { .. }
        | DecodeError::WrongFrameVersion { .. } => StatusCode::BAD_REQUEST,
        DecodeError::UnknownLatentSpace(_)
        | DecodeError::UnknownBundle(_)
        | DecodeError::UnknownHead { .. } => StatusCode::NOT_FOUND,
        DecodeError::BundleRefused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        DecodeError::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
        DecodeError::DeadlineTooShort { .. } | DecodeError::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        DecodeError::Internal(reason) => {
            tracing::error!(reason, request_id = current_request_id(), "request failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
        // The enum may grow; an unknown variant is a fault of the server.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        Self::Serve(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_delays_are_rounded_up_to_whole_seconds() {
        let seconds =
            [0, 1, 1000, 1001].map(|milliseconds| retry_seconds(Duration::from_millis(milliseconds)));
        assert_eq!(seconds, [1, 1, 1, 2]);
    }
}
