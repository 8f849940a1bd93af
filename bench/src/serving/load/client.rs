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
    serving::{
        models::{INPUT, Model},
        peers::{Peer, Speaks},
    },
};

/// The gRPC method that runs a model.
pub(crate) const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Length of the prefix of a gRPC message, in bytes.
const PREFIX: usize = 5;
/// Maximum number of abandoned requests that the connection remembers, followed by the time for which it
/// remembers them.
const RESETS: usize = 1 << 16;
const REMEMBERED: Duration = Duration::from_mins(1);
/// Time after the deadline at which the client abandons a request: the server may report the timeout itself
/// before.
const GRACE: Duration = Duration::from_millis(200);
/// Flow-control window for responses in bytes, per stream and per connection.
const WINDOW: u32 = 16 << 20;

/// A request and its destination.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    speaks: Speaks,
    /// Whether requests carry their deadline.
    tells: bool,
    body: Bytes,
    /// Size of the output tensor in bytes.
    output: usize,
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
    One(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Target {
    /// Creates the request for a model of a server.
    pub(crate) fn new(address: SocketAddr, peer: Peer, model: Model) -> Arc<Self> {
        let (speaks, tells) = (peer.speaks, peer.is_told_deadlines());
        let values: Vec<u8> = model.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        let body = match speaks {
            Speaks::Http { json: true, .. } => {
                serde_json::json!({ INPUT: model.values() }).to_string().into()
            }
            Speaks::Http { .. } => values.into(),
            Speaks::Oip => framed(&infer_request(model, &peer.model_name(model), values)),
        };
        Arc::new(Self { address, speaks, tells, body, output: 4 * model.output().iter().product::<usize>() })
    }

    /// Returns the body of the request.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the size of the output tensor in bytes.
    pub(crate) fn output(&self) -> usize {
        self.output
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Connection, BenchError> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let io = TokioIo::new(stream);
        Ok(match self.speaks {
            Speaks::Http { .. } => {
                let (sender, connection) = http1::handshake(io).await.map_err(|error| failed(&error))?;
                tokio::spawn(connection);
                Connection::One(sender)
            }
            Speaks::Oip => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
                // A response to a request that was abandoned and forgotten would end the connection.
                builder.max_concurrent_reset_streams(RESETS).reset_stream_duration(REMEMBERED);
                builder.max_local_error_reset_streams(None);
                let (sender, connection) = builder.handshake(io).await.map_err(|error| failed(&error))?;
                tokio::spawn(connection);
                Connection::Two(sender)
            }
        })
    }

    fn request(&self, deadline: Option<Duration>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let request = match self.speaks {
            Speaks::Http { infer, json, .. } => Request::post(infer)
                .header("host", self.address.to_string())
                .header("content-type", if json { "application/json" } else { "application/octet-stream" }),
            Speaks::Oip => {
                let request = Request::post(format!("http://{}{INFER}", self.address))
                    .header("te", "trailers")
                    .header("content-type", "application/grpc");
                match deadline.filter(|_| self.tells) {
                    Some(deadline) => request.header("grpc-timeout", format!("{}m", deadline.as_millis())),
                    None => request,
                }
            }
        };
        request.body(Full::new(self.body.clone()))
    }

    /// Returns the output values of a response body; `None` if their number does not match the model.
    fn values(&self, body: &Bytes) -> Option<Vec<f32>> {
        let raw = match self.speaks {
            Speaks::Http { .. } => body.clone(),
            Speaks::Oip => {
                let message = body.get(PREFIX..)?;
                ModelInferResponse::decode(message).ok()?.raw_output_contents.into_iter().next()?
            }
        };
        let floats =
            raw.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        (raw.len() == self.output).then(|| floats.collect())
    }
}

impl Connection {
    /// Returns the connection for another worker; `None` if it cannot be shared.
    pub(crate) fn share(&self) -> Option<Self> {
        if let Self::Two(sender) = self { Some(Self::Two(sender.clone())) } else { None }
    }

    /// Returns whether the server has closed the connection.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_closed(),
            Self::Two(sender) => sender.is_closed(),
        }
    }

    /// Sends the request and reads the response. A deadline is also sent to the server if the server accepts
    /// deadlines, and the request is abandoned shortly after it.
    pub(crate) async fn call(&mut self, target: &Target, deadline: Option<Duration>) -> Outcome {
        let Some(after) = deadline else { return self.ask(target, None).await };
        tokio::time::timeout(after + GRACE, self.ask(target, deadline)).await.unwrap_or(Outcome::Late)
    }

    /// Sends the request and returns the output values.
    pub(crate) async fn values(&mut self, target: &Target) -> Result<Vec<f32>, BenchError> {
        let response = self.send(target, None).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        target.values(&body).ok_or_else(|| {
            let said = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
            BenchError::Load(format!(
                "expected an output of {} bytes, but received status {status} and {said:?}",
                target.output
            ))
        })
    }

    async fn ask(&mut self, target: &Target, deadline: Option<Duration>) -> Outcome {
        let response = match self.send(target, deadline).await {
            Ok(response) => response,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        match received(response).await {
            Ok(answer) => answer.outcome(target),
            Err(error) => Outcome::Failed(failed(&error).to_string()),
        }
    }

    async fn send(
        &mut self,
        target: &Target,
        deadline: Option<Duration>,
    ) -> Result<Response<Incoming>, BenchError> {
        let request = target.request(deadline).map_err(|error| failed(&error))?;
        match self {
            Self::One(sender) => {
                sender.ready().await.map_err(|error| failed(&error))?;
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                sender.ready().await.map_err(|error| failed(&error))?;
                sender.send_request(request).await
            }
        }
        .map_err(|error| failed(&error))
    }
}

/// A response whose bytes are only counted.
struct Answer {
    status: StatusCode,
    /// The gRPC status code and its message.
    grpc: Option<(String, String)>,
    bytes: usize,
}

impl Answer {
    fn outcome(&self, target: &Target) -> Outcome {
        let whole = self.bytes >= target.output;
        match (target.speaks, self.status.as_u16(), self.grpc.as_ref()) {
            (Speaks::Http { .. }, 200, _) if whole => Outcome::Answered,
            (Speaks::Http { .. }, 429 | 503, _) => Outcome::Rejected,
            (Speaks::Http { .. }, 408 | 504, _) => Outcome::Late,
            (Speaks::Oip, 200, Some((code, message))) => match code.as_str() {
                "0" if whole => Outcome::Answered,
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

async fn received(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let mut answer = Answer { status: response.status(), grpc: grpc_status(response.headers()), bytes: 0 };
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            Ok(data) => answer.bytes += data.len(),
            Err(frame) => answer.grpc = frame.trailers_ref().and_then(grpc_status).or(answer.grpc),
        }
    }
    Ok(answer)
}

fn grpc_status(headers: &HeaderMap) -> Option<(String, String)> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
    Some((text("grpc-status")?, text("grpc-message").unwrap_or_default()))
}

fn infer_request(model: Model, name: &str, values: Vec<u8>) -> ModelInferRequest {
    let [channels, height, width] = model.input().map(|extent| extent as i64);
    let input = InferInputTensor {
        name: INPUT.to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, channels, height, width],
        ..InferInputTensor::default()
    };
    ModelInferRequest {
        model_name: name.to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![values.into()],
        ..ModelInferRequest::default()
    }
}

fn framed(message: &ModelInferRequest) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(PREFIX + length);
    bytes.push(0);
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend(message.encode_to_vec());
    bytes.into()
}

/// Converts an error together with its causes, which hyper's errors leave out of their message.
fn failed(error: &dyn std::error::Error) -> BenchError {
    let causes = std::iter::successors(Some(error), |error| error.source());
    BenchError::Load(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}
