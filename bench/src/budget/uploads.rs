//! Attacks of devices: upload messages that describe far more than they contain, and many devices at once.

use std::sync::Arc;

use lopside_proto::v1::{
    Frames, Hello, Origin, UploadRequest, UploadResponse, ingest_service_client::IngestServiceClient,
    upload_request,
};
use prost::Message as _;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::answers::AnswerCounts;
use crate::{BenchError, error::request_error};

/// The numbers of frames of the upload messages: one of 220 kB in all, and one with the most frames.
const UPLOAD_FRAMES: [usize; 2] = [20_000, 65_536];
/// Length of the name of the source of all frames of a message.
const SOURCE_BYTES: usize = 100_000;
/// Number of devices that connect at the same time.
const DEVICES: usize = 3000;
/// Number of connections that the devices share.
const CONNECTIONS: usize = 8;
/// Maximum number of unanswered devices.
const MAX_WAITING: usize = 200;

/// Sends messages whose frames are empty and have one source with a long name: a server that stores the name with each
/// frame needs gigabytes.
pub(super) async fn send_upload_messages(url: &str) -> Result<String, BenchError> {
    let mut answers = Vec::new();
    for count in UPLOAD_FRAMES {
        let message = upload_request::Message::Frames(empty_frames(count));
        let request = UploadRequest { message: Some(message) };
        let bytes = request.encoded_len();
        let service = IngestServiceClient::connect(url.to_owned()).await.map_err(request_error)?;
        let answer = describe(upload(service, "attacker".to_owned(), Some(request)).await);
        answers.push(format!("{count} frames in {bytes} bytes: {answer}"));
    }
    Ok(answers.join("; "))
}

/// Connects many devices at the same time, each with its first message.
pub(super) async fn send_hellos(url: &str) -> Result<String, BenchError> {
    let mut services = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        services.push(IngestServiceClient::connect(url.to_owned()).await.map_err(request_error)?);
    }
    let permits = Arc::new(Semaphore::new(MAX_WAITING));
    let mut devices = JoinSet::new();
    for number in 0..DEVICES {
        let permit = Arc::clone(&permits).acquire_owned().await.map_err(request_error)?;
        let service = services[number % CONNECTIONS].clone();
        devices.spawn(async move {
            let answer = upload(service, format!("device-{number}"), None).await;
            drop(permit);
            describe(answer)
        });
    }
    let mut answers = AnswerCounts::default();
    while let Some(answer) = devices.join_next().await {
        answers.add(answer.map_err(request_error)?);
    }
    Ok(answers.to_string())
}

/// Introduces a device, sends its message, if any, and returns the last answer of the server.
async fn upload(
    mut service: IngestServiceClient<Channel>,
    device: String,
    request: Option<UploadRequest>,
) -> Result<Option<UploadResponse>, Status> {
    let (messages, queue) = mpsc::channel(2);
    let hello = upload_request::Message::Hello(Hello { device, spool: 1, ..Hello::default() });
    let hello = UploadRequest { message: Some(hello) };
    let expected = 1 + usize::from(request.is_some());
    for message in std::iter::once(hello).chain(request) {
        // The queue has room for both messages.
        let _ = messages.try_send(message);
    }
    let mut responses: Streaming<UploadResponse> =
        service.upload(ReceiverStream::new(queue)).await?.into_inner();
    let mut answer = None;
    for _ in 0..expected {
        answer = responses.message().await?;
    }
    drop(messages);
    Ok(answer)
}

fn describe(answer: Result<Option<UploadResponse>, Status>) -> String {
    match answer {
        Ok(Some(_)) => "accepted".to_owned(),
        Ok(None) => "closed".to_owned(),
        Err(status) => format!("{:?}", status.code()),
    }
}

fn empty_frames(count: usize) -> Frames {
    Frames {
        epoch: 1,
        first: 1,
        captured_ms: 1,
        elapsed_ms: vec![0; count - 1],
        lengths: vec![0; count],
        // The CRC-32C of no bytes is 0.
        digests: vec![0; count],
        origins: vec![Origin { index: 0, source: "x".repeat(SOURCE_BYTES) }],
        ..Frames::default()
    }
}
