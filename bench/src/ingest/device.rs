use lopside_proto::v1::{
    Frames, Hello, UploadRequest, UploadResponse, ingest_service_client::IngestServiceClient, upload_request,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{BenchError, error::failed};

/// Maximum number of messages in flight.
const WINDOW: usize = 4;

/// The load of one device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) messages: usize,
    /// Frames per message.
    pub(super) together: usize,
    /// Bytes per frame.
    pub(super) bytes: usize,
}

/// A device that the server has accepted.
pub(super) struct Device {
    messages: mpsc::Sender<UploadRequest>,
    answers: Streaming<UploadResponse>,
    epoch: u64,
}

/// Connects and introduces the device, with a new epoch.
pub(super) async fn connect(url: String, device: String) -> Result<Device, BenchError> {
    let mut service = IngestServiceClient::connect(url).await.map_err(failed)?;
    let (messages, queue) = mpsc::channel(WINDOW + 1);
    let hello = upload_request::Message::Hello(Hello { device, lanes: Vec::new(), spool: 1 });
    messages.send(UploadRequest { message: Some(hello) }).await.map_err(failed)?;
    let mut answers = service.upload(ReceiverStream::new(queue)).await.map_err(failed)?.into_inner();
    answers.message().await.map_err(failed)?;
    Ok(Device { messages, answers, epoch: rand::random() })
}

impl Device {
    /// Sends all messages and waits until they are acknowledged.
    pub(super) async fn send(mut self, load: Load) -> Result<(), BenchError> {
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < load.messages {
            while sent < load.messages && sent - acknowledged < WINDOW {
                let frames = message(self.epoch, sent, load);
                let message = Some(upload_request::Message::Frames(frames));
                self.messages.send(UploadRequest { message }).await.map_err(failed)?;
                sent += 1;
            }
            let answer = self.answers.message().await.map_err(failed)?;
            answer.ok_or_else(|| {
                failed("the server closed the stream before it had acknowledged all messages")
            })?;
            acknowledged += 1;
        }
        Ok(())
    }
}

/// Returns the message with this number: frames of random bytes, one second apart.
fn message(epoch: u64, number: usize, Load { together, bytes, .. }: Load) -> Frames {
    let frames: Vec<u8> = (0..together * bytes).map(|_| rand::random()).collect();
    let first = (number * together) as u64 + 1;
    Frames {
        epoch,
        first,
        captured_ms: 1_790_000_000_000 + 1000 * first as i64,
        elapsed_ms: vec![1000; together - 1],
        lengths: vec![bytes as u32; together],
        digests: frames.chunks(bytes.max(1)).map(crc32c::crc32c).collect(),
        frames: frames.into(),
        ..Frames::default()
    }
}
