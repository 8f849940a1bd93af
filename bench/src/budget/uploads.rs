//! Attacks of devices: upload messages that describe far more than they contain, and many devices at once.

use std::{sync::Arc, time::Instant};

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
/// Number of devices that stay connected.
const IDLE_DEVICES: usize = 1000;
/// Number of devices that send messages at the same time, over connections of their own.
const SENDING_DEVICES: usize = 64;
/// Number of messages of each of these devices, and of frames in each message: all are sent before the first is
/// acknowledged.
const SENT: [usize; 2] = [8, 20_000];

/// Sends messages whose frames are empty and have one source with a long name: a server that stores the name with each
/// frame needs gigabytes.
pub(super) async fn send_upload_messages(url: &str) -> Result<String, BenchError> {
    let mut answers = Vec::new();
    for count in UPLOAD_FRAMES {
        let message = upload_request::Message::Frames(empty_frames(count));
        let request = UploadRequest { message: Some(message) };
        let bytes = request.encoded_len();
        let service = IngestServiceClient::connect(url.to_owned()).await.map_err(request_error)?;
        let answer = describe(upload(service, "attacker".to_owned(), vec![request]).await);
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
    let started_at = Instant::now();
    for number in 0..DEVICES {
        let permit = Arc::clone(&permits).acquire_owned().await.map_err(request_error)?;
        let service = services[number % CONNECTIONS].clone();
        devices.spawn(async move {
            let answer = upload(service, format!("device-{number}"), Vec::new()).await;
            drop(permit);
            describe(answer)
        });
    }
    let mut answers = AnswerCounts::default();
    while let Some(answer) = devices.join_next().await {
        answers.add(answer.map_err(request_error)?);
    }
    let rate = DEVICES as f64 / started_at.elapsed().as_secs_f64();
    Ok(format!("{answers}; {rate:.0} per second"))
}

/// Connects devices that send nothing but their first message, over connections of their own.
pub(super) async fn hold_devices(url: &str) -> Result<String, BenchError> {
    let mut devices = Vec::with_capacity(IDLE_DEVICES);
    for number in 0..IDLE_DEVICES {
        let service = IngestServiceClient::connect(url.to_owned()).await.map_err(request_error)?;
        let (messages, mut responses) =
            open(service, format!("device-{number}"), Vec::new()).await.map_err(request_error)?;
        responses.message().await.map_err(request_error)?;
        devices.push((messages, responses));
    }
    Ok(format!("{} devices are connected", devices.len()))
}

/// Sends many messages with many short frames at the same time: they wait for the archive.
pub(super) async fn send_many_messages(url: &str) -> Result<String, BenchError> {
    let [messages, frames] = SENT;
    let mut devices = JoinSet::new();
    for number in 0..SENDING_DEVICES {
        let url = url.to_owned();
        devices.spawn(async move {
            let service = IngestServiceClient::connect(url).await.map_err(request_error)?;
            let requests: Vec<UploadRequest> =
                (0..messages).map(|index| short_frames(index, frames)).collect();
            let answer = upload(service, format!("device-{number}"), requests).await;
            Ok::<_, BenchError>(describe(answer))
        });
    }
    let mut answers = AnswerCounts::default();
    while let Some(answer) = devices.join_next().await {
        answers.add(answer.map_err(request_error)??);
    }
    Ok(format!("{answers}, {messages} messages of {frames} frames each"))
}

/// Introduces a device, sends its messages, and returns the last answer of the server.
async fn upload(
    service: IngestServiceClient<Channel>,
    device: String,
    requests: Vec<UploadRequest>,
) -> Result<Option<UploadResponse>, Status> {
    // One answer to the introduction, and one per message.
    let answers = 1 + requests.len();
    let (_messages, mut responses) = open(service, device, requests).await?;
    let mut answer = None;
    for _ in 0..answers {
        answer = responses.message().await?;
    }
    Ok(answer)
}

/// Introduces a device and sends its messages. The stream is open until the sender is dropped.
async fn open(
    mut service: IngestServiceClient<Channel>,
    device: String,
    requests: Vec<UploadRequest>,
) -> Result<(mpsc::Sender<UploadRequest>, Streaming<UploadResponse>), Status> {
    let (messages, queue) = mpsc::channel(1 + requests.len());
    let hello = upload_request::Message::Hello(Hello { device, spool: 1, ..Hello::default() });
    let hello = UploadRequest { message: Some(hello) };
    for message in std::iter::once(hello).chain(requests) {
        // The queue has room for all messages.
        let _ = messages.try_send(message);
    }
    let responses = service.upload(ReceiverStream::new(queue)).await?.into_inner();
    Ok((messages, responses))
}

fn describe(answer: Result<Option<UploadResponse>, Status>) -> String {
    match answer {
        Ok(Some(_)) => "accepted".to_owned(),
        Ok(None) => "closed".to_owned(),
        Err(status) => format!("{:?}", status.code()),
    }
}

/// Returns the message with this number: frames of one byte each.
fn short_frames(number: usize, count: usize) -> UploadRequest {
    let frames = Frames {
        epoch: 1,
        first: (number * count) as u64 + 1,
        captured_ms: 1,
        elapsed_ms: vec![0; count - 1],
        lengths: vec![1; count],
        digests: vec![crc32c::crc32c(&[0]); count],
        frames: vec![0; count].into(),
        ..Frames::default()
    };
    UploadRequest { message: Some(upload_request::Message::Frames(frames)) }
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
