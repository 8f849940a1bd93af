//! Attacks by request bodies: messages that never end, and compressed bodies.

use std::{
    convert::Infallible,
    io::{self, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming},
    client::conn::http2::{self, SendRequest},
    http,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::answers::AnswerCounts;
use crate::{BenchError, error::request_error, serving::load::INFER_PATH};

/// Number of messages that never end.
const UNFINISHED_MESSAGES: usize = 24;
/// The length that their prefix declares, just within the server's limit.
const DECLARED_BYTES: u32 = (64 << 20) - 1;
/// The bytes that are sent of each.
const SENT_BYTES: u64 = 60 << 20;
const CHUNK: &[u8] = &[0; 1 << 14];
/// Time for which the messages stay unfinished.
const HOLD_TIME: Duration = Duration::from_secs(15);
/// Size of a compressed body after decompression.
const BOMB_BYTES: usize = 1 << 30;
/// Number of compressed bodies, over REST and over gRPC.
const BOMBS: usize = 8;
/// Time limit of a compressed body.
const BOMB_LIMIT: Duration = Duration::from_secs(30);

type AttackBody = BoxBody<Bytes, Infallible>;

/// The progress of the unfinished messages.
#[derive(Debug, Default)]
struct Progress {
    bytes: AtomicU64,
    refused: AtomicU64,
}

/// Sends messages on one connection, and ends none of them.
pub(super) async fn send_unfinished_messages(address: SocketAddr) -> Result<String, BenchError> {
    let sender = connect(address).await?;
    let progress = Arc::new(Progress::default());
    let mut messages = JoinSet::new();
    for _ in 0..UNFINISHED_MESSAGES {
        messages.spawn(send_unfinished(sender.clone(), address, Arc::clone(&progress)));
    }
    // The server may refuse all of them before.
    let _ = timeout(HOLD_TIME, async { while messages.join_next().await.is_some() {} }).await;
    let (bytes, refused) = (progress.bytes.load(Ordering::Relaxed), progress.refused.load(Ordering::Relaxed));
    Ok(format!(
        "{} MB were sent, {refused} of {UNFINISHED_MESSAGES} messages were refused",
        bytes / 1_000_000
    ))
}

async fn send_unfinished(
    mut sender: SendRequest<AttackBody>,
    address: SocketAddr,
    progress: Arc<Progress>,
) -> Result<(), BenchError> {
    let (chunks, queue) = mpsc::channel(1);
    let body = StreamBody::new(ReceiverStream::new(queue)).boxed();
    sender.ready().await.map_err(request_error)?;
    let response = sender.send_request(grpc_request(address).body(body).map_err(request_error)?);
    tokio::pin!(response);
    let prefix = [&[0][..], &DECLARED_BYTES.to_be_bytes()].concat();
    let mut chunk = Bytes::from(prefix);
    let mut sent = 0;
    loop {
        let length = chunk.len() as u64;
        let is_open = tokio::select! {
            _ = &mut response => false,
            accepted = chunks.send(Ok(Frame::data(chunk.clone()))), if sent < SENT_BYTES => accepted.is_ok(),
        };
        if !is_open {
            progress.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        sent += length;
        progress.bytes.fetch_add(length, Ordering::Relaxed);
        chunk = Bytes::from_static(CHUNK);
    }
}

/// Sends compressed bodies that become many times larger.
pub(super) async fn send_gzip_bombs(address: SocketAddr) -> Result<String, BenchError> {
    let bomb = Bytes::from(gzip_zeros(BOMB_BYTES).map_err(request_error)?);
    let prefix = [&[1][..], &(bomb.len() as u32).to_be_bytes()].concat();
    let message = Bytes::from([&prefix[..], &bomb].concat());
    let sender = connect(address).await?;
    let mut requests = JoinSet::new();
    for _ in 0..BOMBS {
        let rest = Request::post(format!("http://{address}/v2/models/fashion/infer"))
            .header("content-type", "application/json")
            .header("content-encoding", "gzip");
        let grpc = grpc_request(address).header("grpc-encoding", "gzip");
        for (request, body) in [(rest, bomb.clone()), (grpc, message.clone())] {
            let request = request.body(Full::new(body).boxed()).map_err(request_error)?;
            requests.spawn(send(sender.clone(), request));
        }
    }
    let mut answers = AnswerCounts::default();
    while let Some(answer) = requests.join_next().await {
        answers.add(answer.map_err(request_error)?);
    }
    Ok(format!("{answers}, for bodies of {} bytes", bomb.len()))
}

/// Sends a request and describes the answer.
async fn send(mut sender: SendRequest<AttackBody>, request: Request<AttackBody>) -> String {
    if let Err(error) = sender.ready().await {
        return error.to_string();
    }
    match timeout(BOMB_LIMIT, sender.send_request(request)).await {
        Ok(Ok(response)) => describe_response(response).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", BOMB_LIMIT.as_secs()),
    }
}

async fn describe_response(response: Response<Incoming>) -> String {
    let (parts, body) = response.into_parts();
    let trailers = body.collect().await.ok().and_then(|body| body.trailers().cloned());
    let status =
        parts.headers.get("grpc-status").or(trailers.as_ref().and_then(|all| all.get("grpc-status")));
    match status.and_then(|status| status.to_str().ok()) {
        Some(code) => format!("gRPC status {code}"),
        None => parts.status.as_str().to_owned(),
    }
}

fn grpc_request(address: SocketAddr) -> http::request::Builder {
    Request::post(format!("http://{address}{INFER_PATH}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

async fn connect(address: SocketAddr) -> Result<SendRequest<AttackBody>, BenchError> {
    let stream = TcpStream::connect(address).await.map_err(request_error)?;
    let builder = http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(request_error)?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Returns a number of zeros in gzip, in about a thousandth of their size.
fn gzip_zeros(bytes: usize) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..bytes / CHUNK.len() {
        encoder.write_all(CHUNK)?;
    }
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_compressed_to_a_hundredth_or_less() {
        let bytes = gzip_zeros(10 << 20).unwrap();
        assert!(bytes.len() < (10 << 20) / 100, "{}", bytes.len());
    }
}
