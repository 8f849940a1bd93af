//! A device that speaks the protocol without an agent, so that a test decides what its clock shows.

use lopside_proto::v1::{
    Ack, FrameClass, Frames, Hello, Lane, UploadRequest, UploadResponse,
    ingest_service_client::IngestServiceClient, upload_request, upload_response,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// A connected device.
pub(super) struct DeviceDouble {
    messages: mpsc::Sender<UploadRequest>,
    responses: Streaming<UploadResponse>,
    /// The number of the next frame.
    next_number: u64,
}

impl DeviceDouble {
    /// Connects a device with an empty spool, whose clock shows `now_ms`.
    pub(super) async fn connect(endpoint: String, device: &str, now_ms: i64) -> Self {
        let mut service = IngestServiceClient::connect(endpoint).await.unwrap();
        let (messages, queue) = mpsc::channel(1);
        let lane = Lane { class: FrameClass::Normal.into(), ..Lane::default() };
        let hello =
            Hello { device: device.to_owned(), lanes: vec![lane], spool: 1, now_ms, ..Hello::default() };
        let hello = UploadRequest { message: Some(upload_request::Message::Hello(hello)) };
        messages.send(hello).await.unwrap();
        let mut responses = service.upload(ReceiverStream::new(queue)).await.unwrap().into_inner();
        let welcome = responses.message().await.unwrap().unwrap().message;
        assert!(matches!(welcome, Some(upload_response::Message::Welcome(_))), "{welcome:?}");
        Self { messages, responses, next_number: 1 }
    }

    /// Sends frames that were captured from `captured_ms` on, one second apart, and waits until they are
    /// acknowledged.
    pub(super) async fn send(&mut self, captured_ms: i64, frames: &[Vec<u8>]) {
        let message = Frames {
            epoch: 1,
            class: FrameClass::Normal.into(),
            first: self.next_number,
            captured_ms,
            elapsed_ms: vec![1000; frames.len() - 1],
            lengths: frames.iter().map(|frame| frame.len() as u32).collect(),
            digests: frames.iter().map(|frame| crc32c::crc32c(frame)).collect(),
            frames: frames.concat().into(),
            ..Frames::default()
        };
        self.next_number += frames.len() as u64;
        let request = UploadRequest { message: Some(upload_request::Message::Frames(message)) };
        self.messages.send(request).await.unwrap();
        let answer = self.responses.message().await.unwrap().unwrap().message;
        let expected = Ack { class: FrameClass::Normal.into(), number: self.next_number - 1 };
        assert_eq!(answer, Some(upload_response::Message::Ack(expected)));
    }
}
