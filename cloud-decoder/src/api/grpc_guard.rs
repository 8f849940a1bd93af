//! The checks of gRPC calls that the generated services leave out.
//!
//! - A call has the content type of Protobuf messages; anything else is 415.
//! - A call arrives over HTTP/2, which alone can carry the status at the end of a response; HTTP/1 is 505.
//! - A request that cannot be decoded is `INVALID_ARGUMENT`. The library reports `INTERNAL`, which blames the server.

use std::{
    convert::Infallible,
    future::{self, Ready},
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header::CONTENT_TYPE},
    response::IntoResponse as _,
};
use futures_util::{
    TryFutureExt as _,
    future::{Either, MapOk},
};
use http_body::{Frame, SizeHint};
use tonic::{Code, Status, body::Body, server::NamedService};
use tower::Service;

use super::error_http::ApiError;

/// The content types of gRPC calls with Protobuf messages.
const CONTENT_TYPES: [&[u8]; 2] = [b"application/grpc", b"application/grpc+proto"];
/// The beginnings of the messages with which tonic and prost report a request that cannot be decoded.
const UNDECODABLE: [&str; 5] = [
    "failed to decode Protobuf message",
    "Error decompressing",
    "Missing request message",
    "Unexpected EOF decoding stream",
    "protocol error: received message with invalid compression flag",
];

/// The response of a service, once it is checked.
type Checked<F> = MapOk<F, fn(Response<Body>) -> Response<CheckedBody>>;

/// A gRPC service with these checks.
#[derive(Debug, Clone)]
pub(crate) struct GrpcGuard<S>(pub(crate) S);

/// The body of a response, whose trailers are corrected.
#[derive(Debug)]
pub(crate) struct CheckedBody(Body);

impl<S: NamedService> NamedService for GrpcGuard<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for GrpcGuard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<CheckedBody>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<CheckedBody>, Infallible>>, Checked<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(refusal) = find_refusal(&request) else {
            return Either::Right(self.0.call(request).map_ok(check_response as fn(_) -> _));
        };
        Either::Left(future::ready(Ok(check_response(refusal.into_response().map(Body::new)))))
    }
}

impl http_body::Body for CheckedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            blame_client(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// Returns the reason why a request is not a gRPC call; `None` if it is one.
fn find_refusal(request: &Request<Body>) -> Option<ApiError> {
    if !has_grpc_content_type(request.headers()) {
        let reason = "a gRPC method takes the content type application/grpc: use a gRPC client, or the REST \
                      interface that /openapi.json describes";
        return Some(ApiError::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason.to_owned()));
    }
    if request.version() < Version::HTTP_2 {
        let reason =
            "gRPC needs HTTP/2: connect a gRPC client directly, or through a proxy that passes HTTP/2 on";
        return Some(ApiError::Http(StatusCode::HTTP_VERSION_NOT_SUPPORTED, reason.to_owned()));
    }
    None
}

fn has_grpc_content_type(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    CONTENT_TYPES.iter().any(|known| media_type.eq_ignore_ascii_case(known))
}

/// Corrects the status in the head of a response, or later in its trailers.
fn check_response(mut response: Response<Body>) -> Response<CheckedBody> {
    blame_client(response.headers_mut());
    response.map(CheckedBody)
}

/// Changes `INTERNAL` to `INVALID_ARGUMENT` if the message says that the request could not be decoded.
fn blame_client(headers: &mut HeaderMap) {
    if headers.get(Status::GRPC_STATUS).is_none_or(|code| code.as_bytes() != b"13") {
        return;
    }
    let status = Status::from_header_map(headers);
    if status.is_some_and(|status| UNDECODABLE.iter().any(|start| status.message().starts_with(start))) {
        headers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::InvalidArgument as i32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn only_protobuf_over_grpc_is_accepted() {
        for (content_type, accepted) in [
            ("application/grpc", true),
            ("Application/GRPC; charset=utf-8", true),
            ("application/grpc+proto", true),
            ("application/grpc+json", false),
            ("application/grpc-web", false),
            ("application/json", false),
            ("", false),
        ] {
            let headers = header_map(&[("content-type", content_type)]);
            assert_eq!(has_grpc_content_type(&headers), accepted, "{content_type:?}");
        }
        assert!(!has_grpc_content_type(&HeaderMap::new()));
    }

    #[test]
    fn only_internal_errors_of_decoding_are_blamed_on_the_client() {
        for (code, message, expected) in [
            ("13", "failed%20to%20decode%20Protobuf%20message:%20invalid%20varint", "3"),
            ("13", "Missing%20request%20message.", "3"),
            ("13", "internal%20error", "13"),
            ("14", "Missing%20request%20message.", "14"),
        ] {
            let mut headers = header_map(&[("grpc-status", code), ("grpc-message", message)]);
            blame_client(&mut headers);
            assert_eq!(headers["grpc-status"], expected);
            assert_eq!(headers["grpc-message"], message);
        }
    }
}
