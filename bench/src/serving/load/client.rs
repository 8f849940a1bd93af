//! Requests whose bytes are built once, over HTTP/1.1 or HTTP/2 with gRPC framing.
//!
//! A gRPC message consists of a byte 0 (not compressed), its length in 4 bytes, and the message; its status
//! is in the trailers, or in the headers if the response does not have a message.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lopside_proto::inference::{
    ModelInferRequest, ModelInferResponse, model_infer_request::InferInputTensor,
};
use prost::Message as _;
use tokio::net::TcpStream;

use crate::{
    BenchError,
    error::{NetworkError, request_error},
    serving::{
        models::{INPUT_NAME, Model},
        peers::{Peer, Protocol},
    },
};

/// The gRPC method that runs a model.
pub(crate) const INFER_PATH: &str = "/inference.GRPCInferenceService/ModelInfer";
/// The gRPC method that returns whether a server is live.
const LIVE_PATH: &str = "/inference.GRPCInferenceService/ServerLive";
/// Length of the prefix of a gRPC message, in bytes.
const GRPC_PREFIX_BYTES: usize = 5;
/// Maximum number of abandoned requests that the connection remembers, followed by the time for which it
/// remembers them.
const MAX_REMEMBERED_RESETS: usize = 1 << 16;
const RESET_MEMORY: Duration = Duration::from_mins(1);
/// Time after the deadline at which the client abandons a request: the server may report the timeout itself
/// before.
const DEADLINE_GRACE: Duration = Duration::from_millis(200);
/// Flow-control window for responses in bytes, per stream and per connection.
const WINDOW: u32 = 16 << 20;

/// A request and its destination.
#[derive(Debug, Clone)]
pub(crate) struct LoadTarget {
    address: SocketAddr,
    protocol: Protocol,
    /// The gRPC method, for servers with the protocol.
    grpc_path: &'static str,
    /// Whether requests carry their deadline.
    sends_deadlines: bool,
    body: Bytes,
    /// Size of the output tensor in bytes.
    output_bytes: usize,
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The response contains a complete output.
    Answered,
    /// The server was overloaded.
    Rejected,
    /// The deadline passed.
    Late,
    /// Any other failure, with its reason.
    Failed(String),
}

/// A persistent connection. HTTP/2 connections are shared by cloning; HTTP/1.1 connections carry one request
/// at a time.
#[derive(Debug)]
pub(crate) enum Connection {
    /// HTTP/1.1
    Http1(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl LoadTarget {
    /// Creates the request for a model of a server.
    pub(crate) fn new(address: SocketAddr, peer: Peer, model: Model) -> Arc<Self> {
        let protocol = peer.protocol;
        let body = match protocol {
            Protocol::Http { json: true, .. } => {
                serde_json::json!({ INPUT_NAME: model.input_values() }).to_string().into()
            }
            Protocol::Http { .. } => input_bytes(model).into(),
            Protocol::OpenInference => grpc_frame(&infer_request(model, &peer.model_name(model), 1)),
        };
        Arc::new(Self {
            address,
            protocol,
            grpc_path: INFER_PATH,
            sends_deadlines: peer.accepts_deadlines(),
            body,
            output_bytes: output_bytes(model),
        })
    }

    /// Creates a request with several items, for a server with the protocol.
    pub(crate) fn batch(address: SocketAddr, peer: Peer, model: Model, items: usize) -> Arc<Self> {
        Arc::new(Self {
            address,
            protocol: Protocol::OpenInference,
            grpc_path: INFER_PATH,
            sends_deadlines: false,
            body: grpc_frame(&infer_request(model, &peer.model_name(model), items)),
            output_bytes: items * output_bytes(model),
        })
    }

    /// Creates a request whose response has a few bytes: whether a server with the protocol is live.
    pub(crate) fn liveness(address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            address,
            protocol: Protocol::OpenInference,
            grpc_path: LIVE_PATH,
            sends_deadlines: false,
            body: Bytes::from_static(&[0; GRPC_PREFIX_BYTES]),
            output_bytes: 1,
        })
    }

    /// Returns the body of the request.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the size of the output tensor in bytes.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output_bytes
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Connection, BenchError> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| client_error(&error))?;
        stream.set_nodelay(true).map_err(|error| client_error(&error))?;
        let io = TokioIo::new(stream);
        Ok(match self.protocol {
            Protocol::Http { .. } => {
                let (sender, connection) =
                    http1::handshake(io).await.map_err(|error| client_error(&error))?;
                tokio::spawn(connection);
                Connection::Http1(sender)
            }
            Protocol::OpenInference => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
                // A response to a request that was abandoned and forgotten would end the connection.
                builder
                    .max_concurrent_reset_streams(MAX_REMEMBERED_RESETS)
                    .reset_stream_duration(RESET_MEMORY);
                builder.max_local_error_reset_streams(None);
                let (sender, connection) =
                    builder.handshake(io).await.map_err(|error| client_error(&error))?;
                tokio::spawn(connection);
                Connection::Http2(sender)
            }
        })
    }

    fn request(&self, deadline: Option<Duration>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let request = match self.protocol {
            Protocol::Http { infer_path, json, .. } => Request::post(infer_path)
                .header("host", self.address.to_string())
                .header("content-type", if json { "application/json" } else { "application/octet-stream" }),
            Protocol::OpenInference => {
                let request = Request::post(format!("http://{}{}", self.address, self.grpc_path))
                    .header("te", "trailers")
                    .header("content-type", "application/grpc");
                match deadline.filter(|_| self.sends_deadlines) {
                    Some(deadline) => request.header("grpc-timeout", format!("{}m", deadline.as_millis())),
                    None => request,
                }
            }
        };
        request.body(Full::new(self.body.clone()))
    }

    /// Returns the output values of a response body; `None` if their number does not match the model.
    fn decode_values(&self, body: &Bytes) -> Option<Vec<f32>> {
        let raw = match self.protocol {
            Protocol::Http { .. } => body.clone(),
            Protocol::OpenInference => {
                let message = body.get(GRPC_PREFIX_BYTES..)?;
                ModelInferResponse::decode(message).ok()?.raw_output_contents.into_iter().next()?
            }
        };
        let floats =
            raw.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        (raw.len() == self.output_bytes).then(|| floats.collect())
    }
}

impl Connection {
    /// Returns the connection for another worker; `None` if it cannot be shared.
    pub(crate) fn share(&self) -> Option<Self> {
        if let Self::Http2(sender) = self { Some(Self::Http2(sender.clone())) } else { None }
    }

    /// Returns whether the server has closed the connection.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Sends the request and reads the response. A deadline is also sent to the server if the server accepts
    /// deadlines, and the request is abandoned shortly after it.
    pub(crate) async fn send_with_deadline(
        &mut self,
        target: &LoadTarget,
        deadline: Option<Duration>,
    ) -> Outcome {
        let Some(time_limit) = deadline else { return self.send_and_count(target, None).await };
        tokio::time::timeout(time_limit + DEADLINE_GRACE, self.send_and_count(target, deadline))
            .await
            .unwrap_or(Outcome::Late)
    }

    /// Sends the request and returns the output values.
    pub(crate) async fn fetch_values(&mut self, target: &LoadTarget) -> Result<Vec<f32>, BenchError> {
        let response = self.send_request(target, None).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| client_error(&error))?.to_bytes();
        target.decode_values(&body).ok_or_else(|| {
            let text = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
            let expected = target.output_bytes;
            let reason =
                format!("expected an output of {expected} bytes, but received status {status} and {text:?}");
            NetworkError::UnexpectedResponse { reason }.into()
        })
    }

    async fn send_and_count(&mut self, target: &LoadTarget, deadline: Option<Duration>) -> Outcome {
        let response = match self.send_request(target, deadline).await {
            Ok(response) => response,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        match count_response(response).await {
            Ok(counted) => counted.outcome(target),
            Err(error) => Outcome::Failed(client_error(&error).to_string()),
        }
    }

    async fn send_request(
        &mut self,
        target: &LoadTarget,
        deadline: Option<Duration>,
    ) -> Result<Response<Incoming>, BenchError> {
        let request = target.request(deadline).map_err(|error| client_error(&error))?;
        match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(|error| client_error(&error))?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await.map_err(|error| client_error(&error))?;
                sender.send_request(request).await
            }
        }
        .map_err(|error| client_error(&error))
    }
}

/// A response whose bytes are only counted.
struct CountedResponse {
    status: StatusCode,
    /// The gRPC status code and its message.
    grpc: Option<(String, String)>,
    bytes: usize,
}

impl CountedResponse {
    fn outcome(&self, target: &LoadTarget) -> Outcome {
        let is_complete = self.bytes >= target.output_bytes;
        match (target.protocol, self.status.as_u16(), self.grpc.as_ref()) {
            (Protocol::Http { .. }, 200, _) if is_complete => Outcome::Answered,
            (Protocol::Http { .. }, 429 | 503, _) => Outcome::Rejected,
            (Protocol::Http { .. }, 408 | 504, _) => Outcome::Late,
            (Protocol::OpenInference, 200, Some((code, message))) => match code.as_str() {
                "0" if is_complete => Outcome::Answered,
                // RESOURCE_EXHAUSTED, UNAVAILABLE.
                "8" | "14" => Outcome::Rejected,
                // CANCELLED, DEADLINE_EXCEEDED.
                "1" | "4" => Outcome::Late,
                _ => Outcome::Failed(format!("gRPC status {code}, {} bytes: {message}", self.bytes)),
            },
            (_, status, _) => Outcome::Failed(format!("HTTP status {status}, {} bytes", self.bytes)),
        }
    }
}

async fn count_response(response: Response<Incoming>) -> Result<CountedResponse, hyper::Error> {
    let mut counted =
        CountedResponse { status: response.status(), grpc: grpc_status(response.headers()), bytes: 0 };
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            Ok(data) => counted.bytes += data.len(),
            Err(frame) => counted.grpc = frame.trailers_ref().and_then(grpc_status).or(counted.grpc),
        }
    }
    Ok(counted)
}

fn grpc_status(headers: &HeaderMap) -> Option<(String, String)> {
    let message = header_text(headers, "grpc-message");
    Some((header_text(headers, "grpc-status")?, message.unwrap_or_default()))
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// Returns the size of an output in bytes.
fn output_bytes(model: Model) -> usize {
    4 * model.output_shape().iter().product::<usize>()
}

/// Returns an input as little-endian bytes.
fn input_bytes(model: Model) -> Vec<u8> {
    model.input_values().iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn infer_request(model: Model, name: &str, items: usize) -> ModelInferRequest {
    let [channels, height, width] = model.input_shape().map(|extent| extent as i64);
    let input = InferInputTensor {
        name: INPUT_NAME.to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![items as i64, channels, height, width],
        ..InferInputTensor::default()
    };
    ModelInferRequest {
        model_name: name.to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![input_bytes(model).repeat(items).into()],
        ..ModelInferRequest::default()
    }
}

fn grpc_frame(message: &ModelInferRequest) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(GRPC_PREFIX_BYTES + length);
    bytes.push(0);
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend(message.encode_to_vec());
    bytes.into()
}

/// Converts an error together with its causes, which hyper's errors leave out of their message.
fn client_error(error: &dyn std::error::Error) -> BenchError {
    let causes = std::iter::successors(Some(error), |error| error.source());
    request_error(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}
