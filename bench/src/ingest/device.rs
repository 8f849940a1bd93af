use lopside_proto::v1::{
    Frames, Hello, UploadRequest, UploadResponse, ingest_service_client::IngestServiceClient, upload_request,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{
    BenchError,
    error::{NetworkError, request_error},
};

/// Maximum number of messages in flight.
const MAX_MESSAGES_IN_FLIGHT: usize = 4;

/// The load of one device.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeviceLoad {
    pub(super) messages: usize,
    /// Frames per message.
    pub(super) frames_per_message: usize,
    /// Bytes per frame.
    pub(super) frame_bytes: usize,
}

/// A device that the server has accepted.
pub(super) struct DeviceConnection {
    messages: mpsc::Sender<UploadRequest>,
    responses: Streaming<UploadResponse>,
    epoch: u64,
}

/// Connects and introduces the device, with a new epoch.
pub(super) async fn connect_device(url: String, device: String) -> Result<DeviceConnection, BenchError> {
    let mut service = IngestServiceClient::connect(url).await.map_err(request_error)?;
    let (messages, queue) = mpsc::channel(MAX_MESSAGES_IN_FLIGHT + 1);
    let hello = upload_request::Message::Hello(Hello { device, spool: 1, ..Hello::default() });
    messages.send(UploadRequest { message: Some(hello) }).await.map_err(request_error)?;
    let mut responses = service.upload(ReceiverStream::new(queue)).await.map_err(request_error)?.into_inner();
    responses.message().await.map_err(request_error)?;
    Ok(DeviceConnection { messages, responses, epoch: rand::random() })
}

impl DeviceConnection {
    /// Sends all messages and waits until they are acknowledged.
    pub(super) async fn send(mut self, load: DeviceLoad) -> Result<(), BenchError> {
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < load.messages {
            while sent < load.messages && sent - acknowledged < MAX_MESSAGES_IN_FLIGHT {
                let frames = frames_message(self.epoch, sent, load);
                let message = Some(upload_request::Message::Frames(frames));
                self.messages.send(UploadRequest { message }).await.map_err(request_error)?;
                sent += 1;
            }
            let response = self.responses.message().await.map_err(request_error)?;
            response.ok_or(NetworkError::StreamClosed)?;
            acknowledged += 1;
        }
        Ok(())
    }
}

/// Returns the message with this number: frames of random bytes, one second apart.
fn frames_message(
    epoch: u64,
    number: usize,
    DeviceLoad { frames_per_message: count, frame_bytes, .. }: DeviceLoad,
) -> Frames {
    let frames: Vec<u8> = (0..count * frame_bytes).map(|_| rand::random()).collect();
    let first = (number * count) as u64 + 1;
    Frames {
        epoch,
        first,
        captured_ms: 1_790_000_000_000 + 1000 * first as i64,
        elapsed_ms: vec![1000; count - 1],
        lengths: vec![frame_bytes as u32; count],
        digests: frames.chunks(frame_bytes.max(1)).map(crc32c::crc32c).collect(),
        frames: frames.into(),
        ..Frames::default()
    }
}
