//! Requests whose bodies are sent piece by piece.

use axum::body::{Body, Bytes};
use http_body_util::BodyExt as _;
use hyper::{Request, Response, body::Incoming, http::request::Builder};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::support::Http2;

pub(crate) const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
pub(crate) const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// A request whose body is being sent.
pub(crate) struct Upload {
    pieces: mpsc::Sender<Result<Bytes, axum::Error>>,
    pub(crate) response: JoinHandle<Response<Incoming>>,
}

impl Upload {
    /// Starts a request with this head.
    pub(crate) fn start(client: &Http2, head: Builder) -> Self {
        let (pieces, receiver) = mpsc::channel(1);
        let request = head.body(Body::from_stream(ReceiverStream::new(receiver))).unwrap();
        let mut requests = client.requests.clone();
        let response = tokio::spawn(async move { requests.send_request(request).await.unwrap() });
        Self { pieces, response }
    }

    /// Starts a gRPC call.
    pub(crate) fn call(client: &Http2, method: &str) -> Self {
        Self::start(client, grpc_call(method))
    }

    /// Sends a part of the body. After a refusal, the server does not receive the rest.
    pub(crate) async fn send(&self, bytes: impl Into<Bytes>) {
        let mut bytes = bytes.into();
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(1 << 20));
            if self.pieces.send(Ok(piece)).await.is_err() {
                return;
            }
        }
    }

    /// Ends the body, and returns the response.
    pub(crate) async fn finish(self) -> Response<Incoming> {
        drop(self.pieces);
        self.response.await.unwrap()
    }

    /// Cancels the request.
    pub(crate) async fn cancel(self) {
        self.response.abort();
        let _ = self.response.await;
    }
}

/// Returns the head of a gRPC call.
pub(crate) fn grpc_call(method: &str) -> Builder {
    let head = Request::post(format!("http://x{method}")).header("content-type", "application/grpc");
    head.header("te", "trailers")
}

/// Returns the prefix of a gRPC message.
pub(crate) fn prefix(flag: u8, len: usize) -> Vec<u8> {
    [&[flag][..], &(len as u32).to_be_bytes()].concat()
}

/// Returns the status of a gRPC call, from the head of the response or from its trailers.
pub(crate) async fn grpc_status(response: Response<Incoming>) -> Status {
    let (head, body) = response.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
    Status::from_header_map(&head.headers).or(Status::from_header_map(&trailers)).unwrap()
}
