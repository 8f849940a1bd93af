//! What the generated services of gRPC leave out: checks of a call, and the encodings of its messages.
//!
//! - A call has the content type of Protobuf messages; anything else is 415.
//! - A call arrives over HTTP/2, which alone can carry the status at the end of a response; HTTP/1 is 505.
//! - Compressed messages are decompressed (`grpc_request.rs`), and responses are compressed for those who ask for it
//!   (`grpc_response.rs`).
//! - A request that cannot be decoded is `INVALID_ARGUMENT`. The library reports `INTERNAL`, which blames the server.

use std::{
    convert::Infallible,
    future::{self, Future, Ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header::CONTENT_TYPE},
    response::IntoResponse as _,
};
use futures_util::future::Either;
use pin_project_lite::pin_project;
use tonic::{Code, Status, body::Body, server::NamedService};
use tower::Service;

use super::{
    compression::Encoding,
    error_http::ApiError,
    grpc_encoding::{ENCODING, request_encoding, response_encoding},
    grpc_request::RequestMessages,
    grpc_response::ResponseMessages,
};
use crate::{GrpcCompression, transport::BodyPermit};

/// The content types of gRPC calls with Protobuf messages.
const CONTENT_TYPES: [&[u8]; 2] = [b"application/grpc", b"application/grpc+proto"];
/// The beginnings of the messages with which tonic and prost report a request that cannot be decoded.
const UNDECODABLE: [&str; 4] = [
    "failed to decode Protobuf message",
    "Missing request message",
    "Unexpected EOF decoding stream",
    "protocol error: received message with invalid compression flag",
];

/// The settings of all gRPC services.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GrpcSettings {
    /// Maximum size of a request's message in bytes, also after it is decompressed.
    pub(crate) max_message_bytes: usize,
    /// When responses are compressed.
    pub(crate) compression: GrpcCompression,
}

/// A gRPC service with these checks and encodings.
#[derive(Debug, Clone)]
pub(crate) struct GrpcGuard<S> {
    service: S,
    settings: GrpcSettings,
}

pin_project! {
    /// The response future of a guarded service.
    pub(crate) struct GuardedCall<F> {
        #[pin]
        call: F,
        encoding: Option<Encoding>,
    }
}

impl<S> GrpcGuard<S> {
    pub(crate) fn new(service: S, settings: GrpcSettings) -> Self {
        Self { service, settings }
    }
}

impl<S: NamedService> NamedService for GrpcGuard<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for GrpcGuard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<ResponseMessages>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<ResponseMessages>, Infallible>>, GuardedCall<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let refused = |response| Either::Left(future::ready(Ok(finish_response(response, None))));
        if let Some(refusal) = find_refusal(&request) {
            return refused(refusal.into_response().map(Body::new));
        }
        match request_encoding(request.headers()) {
            Ok(request_encoding) => {
                let encoding = response_encoding(self.settings.compression, request.headers());
                let request = self.settings.decode_messages(request, request_encoding);
                Either::Right(GuardedCall { call: self.service.call(request), encoding })
            }
            Err(status) => refused(status.into_http()),
        }
    }
}

impl GrpcSettings {
    /// Returns a request as a service takes it: without compressed messages.
    fn decode_messages(self, mut request: Request<Body>, encoding: Option<Encoding>) -> Request<Body> {
        request.headers_mut().remove(ENCODING);
        let permit = request.extensions().get::<Arc<BodyPermit>>().cloned();
        request.map(|body| Body::new(RequestMessages::new(body, encoding, self.max_message_bytes, permit)))
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for GuardedCall<F> {
    type Output = Result<Response<ResponseMessages>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let encoding = *this.encoding;
        this.call.poll(context).map_ok(|response| finish_response(response, encoding))
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

/// Corrects the status in the head of a response, or later in its trailers, and encodes its messages.
fn finish_response(mut response: Response<Body>, encoding: Option<Encoding>) -> Response<ResponseMessages> {
    let headers = response.headers_mut();
    blame_client(headers);
    // A response with a status in its head has no messages.
    let encoding = encoding.filter(|_| !headers.contains_key(Status::GRPC_STATUS));
    if let Some(encoding) = encoding {
        headers.insert(ENCODING, HeaderValue::from_static(encoding.name()));
    }
    response.map(|body| ResponseMessages::new(body, encoding, blame_client))
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
