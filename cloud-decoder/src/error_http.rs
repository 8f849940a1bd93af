//! [`ServeError`] as HTTP clients see it: a status and `{"error": "…"}`.

use axum::{
    Json,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::ServeError;

/// The body of every refusal.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    error: String,
}

impl ErrorBody {
    pub(crate) fn response(status: StatusCode, error: String) -> Response {
        (status, Json(Self { error })).into_response()
    }
}

impl IntoResponse for ServeError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Request(_) | Self::Frame { .. } => StatusCode::BAD_REQUEST,
            Self::UnknownLatentSpace(_) | Self::UnknownBundle(_) | Self::UnknownHead { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(reason) => {
                tracing::error!(reason, "request failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let mut response = ErrorBody::response(status, self.to_string());
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}
