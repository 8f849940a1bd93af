//! One upload connection of a device.

use std::{net::IpAddr, sync::Arc};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use lopside_archive::{AppliedBatch, Archive, Batch};
use lopside_proto::v1::{
    Ack, Frames, SourceReports, UploadRequest, UploadResponse, upload_request, upload_response,
};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};

use super::{
    connections::{DeviceConnection, DeviceConnections},
    events::{IngestEvent, count_events},
    hello::{DeviceHello, build_welcome},
    pending_memory::{PendingMemory, message_memory},
    source_reports::{parse_report, report_events},
    unpack::{UploadSender, unpack_batch},
};
use crate::{
    ServeError,
    archive::{
        device_reports::{DeviceReports, ReportingConnection},
        times::now_us,
    },
    auth::ClientIdentity,
    telemetry::ingest::{BatchMeasurement, CountedConnection, record_clock},
    transport::{StreamMemory, wait_stopping},
};

/// Maximum number of batches of a connection that are being committed.
const MAX_PENDING_BATCHES: usize = 8;

/// The state of an upload connection.
#[derive(Debug)]
pub(super) struct UploadConnection {
    pub(super) archive: Archive,
    /// What the devices report of their sources.
    pub(super) reports: DeviceReports,
    pub(super) connections: Arc<DeviceConnections>,
    /// The devices that the client may speak for.
    pub(super) identity: ClientIdentity,
    pub(super) peer: Option<IpAddr>,
    /// The largest image that the server decodes, in pixels.
    pub(super) max_pixels: u64,
    pub(super) ready: watch::Receiver<bool>,
    pub(super) responses: mpsc::Sender<Result<UploadResponse, Status>>,
    /// The memory of messages that are being committed.
    pub(super) memory: StreamMemory,
    /// The report of the device about its sources; `None` before the welcome.
    pub(super) reporting: Option<ReportingConnection>,
    /// Whether a commit has failed, after which nothing is acknowledged.
    pub(super) has_failed: bool,
    /// Whether the operator was told that an older epoch continues.
    pub(super) has_alternated: bool,
}

/// A message whose batch is being committed.
#[derive(Debug)]
struct PendingMessage {
    ack: Ack,
    epoch: u64,
}

/// The pending commit of a message's batch.
type PendingCommit = BoxFuture<'static, (PendingMessage, Result<AppliedBatch, ServeError>)>;

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
        self.identity.check_device(&hello.device)?;
        let _counted = CountedConnection::begin();
        record_clock(hello.now_ms);
        let hello = DeviceHello::parse(hello, now_us() / 1000)?;
        let mut connection = self.connections.register_connection(&hello.device, self.peer);
        let sender = self.welcome_device(hello, &connection).await?;
        self.reporting = Some(self.reports.begin_connection(&sender.device, sender.connection_number));
        let mut pending = FuturesOrdered::new();
        // Dropped after the last commit.
        let mut memory = PendingMemory::new(self.memory.clone());
        let end = self.receive_all(messages, &sender, &mut connection, (&mut pending, &mut memory)).await;
        while let Some((message, applied)) = pending.next().await {
            // The reason for the end of the connection is sent only once.
            let _ = self.finish_message(&sender, &connection, message, applied).await;
        }
        end
    }

    /// Registers the connection in the archive, and tells the device what the archive has and what it has lost.
    async fn welcome_device(
        &self,
        hello: DeviceHello,
        connection: &DeviceConnection,
    ) -> Result<UploadSender, Status> {
        let registering = self.archive.register_connection(hello.to_connection(connection.take_displaced()));
        let registered = registering.await.map_err(ServeError::from)?;
        if !registered.newly_lost.is_empty() {
            count_events(IngestEvent::Loss, registered.newly_lost.len() as u64);
        }
        let unsettled = hello.unsettled();
        let known = self.archive.known_numbers(&hello.device, hello.spool, &unsettled);
        let known = known.await.map_err(ServeError::from)?;
        let welcome = build_welcome(known, registered.lost, self.max_pixels);
        self.send_response(upload_response::Message::Welcome(welcome)).await?;
        tracing::debug!(device = hello.device, "device connected");
        hello.report_clock();
        let DeviceHello { device, spool, clock, .. } = hello;
        Ok(UploadSender { device, connection_number: registered.number, spool, clock })
    }

    /// Receives messages and acknowledges them until the connection ends, is displaced, or the server begins to
    /// stop.
    async fn receive_all(
        &mut self,
        messages: &mut Streaming<UploadRequest>,
        sender: &UploadSender,
        connection: &mut DeviceConnection,
        (pending, memory): (&mut FuturesOrdered<PendingCommit>, &mut PendingMemory),
    ) -> Result<(), Status> {
        let stopping = wait_stopping(self.ready.clone());
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                message = messages.message(), if pending.len() < MAX_PENDING_BATCHES && memory.is_ready() => {
                    let Some(message) = message? else { return Ok(()) };
                    self.handle_message(sender, message, pending, memory)?;
                }
                Some((message, applied)) = pending.next(), if !pending.is_empty() => {
                    memory.pop();
                    self.finish_message(sender, connection, message, applied).await?;
                }
                () = connection.wait_displaced() => return Err(ServeError::ConnectionReplaced.into()),
                () = &mut stopping => return Err(ServeError::Stopping.into()),
            }
        }
    }

    /// Begins to commit frames, or keeps a report.
    fn handle_message(
        &self,
        sender: &UploadSender,
        message: UploadRequest,
        pending: &mut FuturesOrdered<PendingCommit>,
        memory: &mut PendingMemory,
    ) -> Result<(), ServeError> {
        let message_bytes = message.encoded_len();
        match message.message {
            Some(upload_request::Message::Frames(frames)) => {
                let (records, commit) = self.apply_frames(sender, frames)?;
                memory.push(message_memory(message_bytes, records));
                pending.push_back(commit);
                Ok(())
            }
            Some(upload_request::Message::SourceReports(reports)) => self.keep_report(sender, reports),
            Some(upload_request::Message::Hello(_)) | None => Err(ServeError::InvalidRequest(
                "only messages with frames or with reports about sources may follow the hello".into(),
            )),
        }
    }

    /// Keeps what a device reports of its sources.
    fn keep_report(&self, sender: &UploadSender, reports: SourceReports) -> Result<(), ServeError> {
        let report = parse_report(reports, now_us())?;
        if let Some(reporting) = &self.reporting {
            report_events(&sender.device, &reporting.store(report));
        }
        Ok(())
    }

    /// Passes the frames of a message to the archive. Returns their number and the pending commit.
    fn apply_frames(
        &self,
        sender: &UploadSender,
        frames: Frames,
    ) -> Result<(usize, PendingCommit), ServeError> {
        let class = frames.class;
        let batch = unpack_batch(sender, frames)?;
        let message = PendingMessage { ack: build_ack(class, &batch)?, epoch: batch.epoch };
        let archive = self.archive.clone();
        let (records, measurement) = (batch.records.len(), BatchMeasurement::begin(&batch));
        let commit = async move {
            let applied = measurement.finish(archive.apply(batch).await);
            (message, applied.map_err(ServeError::from))
        };
        Ok((records, commit.boxed()))
    }

    /// Acknowledges a committed message, unless an earlier one has failed.
    async fn finish_message(
        &mut self,
        sender: &UploadSender,
        connection: &DeviceConnection,
        PendingMessage { ack, epoch }: PendingMessage,
        applied: Result<AppliedBatch, ServeError>,
    ) -> Result<(), Status> {
        match applied {
            Ok(AppliedBatch { newer_epoch: Some(newer_epoch), .. }) if !self.has_alternated => {
                self.has_alternated = true;
                report_alternation(sender, epoch, newer_epoch);
            }
            Ok(_) => {}
            Err(error) => {
                report_failure(&error, connection, self.has_failed);
                self.has_failed = true;
                return Err(error.into());
            }
        }
        if self.has_failed { Ok(()) } else { self.send_response(upload_response::Message::Ack(ack)).await }
    }

    async fn send_response(&self, message: upload_response::Message) -> Result<(), Status> {
        let response = Ok(UploadResponse { message: Some(message) });
        self.responses.send(response).await.map_err(|_| Status::cancelled("the device has disconnected"))
    }
}

fn build_ack(class: i32, batch: &Batch) -> Result<Ack, ServeError> {
    let number = batch.first_number.checked_add(batch.records.len() as u64 - 1);
    let number =
        number.ok_or_else(|| ServeError::InvalidRequest("the record numbers are too large".into()))?;
    Ok(Ack { class, number })
}

/// Counts and logs that an epoch continues next to a newer one.
fn report_alternation(sender: &UploadSender, epoch: u64, newer_epoch: u64) {
    count_events(IngestEvent::Alternation, 1);
    tracing::warn!(
        device = sender.device,
        spool = format_args!("{:08x}", sender.spool),
        epoch = format_args!("{epoch:016x}"),
        newer_epoch = format_args!("{newer_epoch:016x}"),
        "two devices number frames with copies of one spool: give each device its own name, and empty the spool's \
         folder on one of them"
    );
}

/// Counts the reason why a message was not committed. `is_repeated` is true after the first failure of the connection.
fn report_failure(error: &ServeError, connection: &DeviceConnection, is_repeated: bool) {
    match error {
        ServeError::FrameConflict(_) => count_events(IngestEvent::Conflict, 1),
        ServeError::ConnectionReplaced if !is_repeated => connection.report_superseded(),
        _ => {}
    }
}
