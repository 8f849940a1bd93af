//! Responses to requests that no route serves.

use axum::{
    extract::Request,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};

use crate::{api::error_http::ApiError, transport::is_grpc};

/// Responds to requests for unknown paths: UNIMPLEMENTED for gRPC clients, 404 for others.
pub(crate) async fn unknown_path(request: Request) -> Response {
    if is_grpc(request.headers()) {
        return tonic::Status::unimplemented(format!(
            "this server does not have the method {}",
            request.uri().path()
        ))
        .into_http();
    }
    ApiError::Http(StatusCode::NOT_FOUND, format!("nothing is served at {}", request.uri().path()))
        .into_response()
}

/// Responds to a method that the path does not support with 405; axum adds the supported ones.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::Http(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not support {method}", uri.path()))
}
