//! One upload connection of a device.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use lopside_archive::{AppliedBatch, Archive, Batch};
use lopside_proto::v1::{
    Ack, Frames, Hello, Known, NumberRange, UploadRequest, UploadResponse, Welcome, upload_request,
    upload_response,
};
use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};

use super::{
    connections::{DeviceConnection, DeviceConnections},
    unpack::{UploadSender, parse_class, unpack_batch},
};
use crate::{ServeError, transport::wait_stopping};

/// Maximum number of batches of a connection that are being committed.
const MAX_PENDING_BATCHES: usize = 8;

/// The state of an upload connection.
#[derive(Debug)]
pub(super) struct UploadConnection {
    pub(super) archive: Archive,
    pub(super) connections: Arc<DeviceConnections>,
    pub(super) ready: watch::Receiver<bool>,
    pub(super) responses: mpsc::Sender<Result<UploadResponse, Status>>,
    /// Whether a commit has failed, after which nothing is acknowledged.
    pub(super) has_failed: bool,
}

/// The pending commit of a message's batch, with its acknowledgement.
type PendingAck = BoxFuture<'static, (Ack, Result<AppliedBatch, ServeError>)>;

impl UploadConnection {
    /// Serves the connection to its end.
    pub(super) async fn run(mut self, mut messages: Streaming<UploadRequest>) {
        if let Err(status) = self.serve_messages(&mut messages).await {
            // Sending fails if the device has disconnected, which is fine.
            let _ = self.responses.send(Err(status)).await;
        }
    }

    async fn serve_messages(&mut self, messages: &mut Streaming<UploadRequest>) -> Result<(), Status> {
        let Some(upload_request::Message::Hello(hello)) =
            messages.message().await?.and_then(|request| request.message)
        else {
            return Err(ServeError::InvalidRequest("the first message is not a hello".into()).into());
        };
        let mut connection = self.connections.register_connection(&hello.device);
        let connection_number =
            self.archive.register_connection(&hello.device).await.map_err(ServeError::from)?;
        let welcome = self.build_welcome(&hello).await?;
        self.send_response(upload_response::Message::Welcome(welcome)).await?;
        tracing::debug!(device = hello.device, "device connected");
        let sender = UploadSender { device: hello.device, connection_number, spool: hello.spool };
        let mut pending = FuturesOrdered::new();
        let end = self.receive_all(messages, &sender, &mut connection, &mut pending).await;
        while let Some(applied) = pending.next().await {
            // The reason for the end of the connection is sent only once.
            let _ = self.send_ack(applied).await;
        }
        end
    }

    /// Returns the numbers that the archive has after the settled ones of each class.
    async fn build_welcome(&self, hello: &Hello) -> Result<Welcome, ServeError> {
        let mut known = Vec::new();
        for lane in &hello.lanes {
            let class = parse_class(lane.class)?;
            let ranges = self
                .archive
                .known_numbers(&hello.device, hello.spool, class, lane.settled.saturating_add(1))
                .await?;
            let ranges =
                ranges.into_iter().map(|range| NumberRange { first: *range.start(), last: *range.end() });
            known.push(Known { class: lane.class, ranges: ranges.collect() });
        }
        Ok(Welcome { known })
    }

    /// Receives messages and acknowledges them until the connection ends, is displaced, or the server begins to
    /// stop.
    async fn receive_all(
        &mut self,
        messages: &mut Streaming<UploadRequest>,
        sender: &UploadSender,
        connection: &mut DeviceConnection,
        pending: &mut FuturesOrdered<PendingAck>,
    ) -> Result<(), Status> {
        let stopping = wait_stopping(self.ready.clone());
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                message = messages.message(), if pending.len() < MAX_PENDING_BATCHES => match message? {
                    Some(message) => pending.push_back(self.apply_frames(sender, message)?),
                    None => return Ok(()),
                },
                Some(applied) = pending.next(), if !pending.is_empty() => self.send_ack(applied).await?,
                () = connection.wait_displaced() => return Err(ServeError::ConnectionReplaced.into()),
                () = &mut stopping => return Err(ServeError::Stopping.into()),
            }
        }
    }

    fn apply_frames(&self, sender: &UploadSender, message: UploadRequest) -> Result<PendingAck, ServeError> {
        let Some(upload_request::Message::Frames(frames)) = message.message else {
            return Err(ServeError::InvalidRequest("only messages with frames may follow the hello".into()));
        };
        let batch = unpack_batch(sender, &frames)?;
        let ack = build_ack(&frames, &batch)?;
        let archive = self.archive.clone();
        Ok(async move { (ack, archive.apply(batch).await.map_err(ServeError::from)) }.boxed())
    }

    /// Acknowledges a committed message, unless an earlier one has failed.
    async fn send_ack(
        &mut self,
        (ack, applied): (Ack, Result<AppliedBatch, ServeError>),
    ) -> Result<(), Status> {
        self.has_failed |= applied.is_err();
        applied?;
        if self.has_failed { Ok(()) } else { self.send_response(upload_response::Message::Ack(ack)).await }
    }

    async fn send_response(&self, message: upload_response::Message) -> Result<(), Status> {
        let response = Ok(UploadResponse { message: Some(message) });
        self.responses.send(response).await.map_err(|_| Status::cancelled("the device has disconnected"))
    }
}

fn build_ack(frames: &Frames, batch: &Batch) -> Result<Ack, ServeError> {
    let number = frames.first.checked_add(batch.records.len() as u64 - 1);
    let number =
        number.ok_or_else(|| ServeError::InvalidRequest("the record numbers are too large".into()))?;
    Ok(Ack { class: frames.class, number })
}
