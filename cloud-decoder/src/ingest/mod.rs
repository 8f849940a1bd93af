//! `lopside.v1.IngestService`: uploads of frames from devices into the archive.
//!
//! ```text
//! hello ─► newest connection of the device ─► records that the archive has, and has lost ─► welcome
//! frames ─► batch ─► archive: committed ─► acknowledgement, in the order of the messages
//! report about sources ─► memory, metrics
//! ```
//! Each device has one connection. After a device reconnects, to this server or to another server of the same
//! archive, the archive does not commit further messages of its older connections. The welcome message is
//! therefore complete, and only the new connection adds to it. An older connection to the same server is closed.
//!
//! After a message whose commit has failed, further messages are not acknowledged, even if they are committed:
//! an acknowledgement covers all messages before it.
//!
//! A message with a frame that is archived with other contents is refused, and so is a floor that cannot be true. An
//! older epoch of a spool that continues next to a newer one is archived and reported: its frames are different.
//!
//! The contents of frames are not checked: a frame that the heads cannot read is archived as it arrived. If it
//! were refused, the device would retry it for ever.

mod connections;
mod displacements;
mod events;
#[cfg(fuzzing)]
pub(crate) mod fuzzed;
mod hello;
mod pending_memory;
mod source_reports;
mod unpack;
mod upload;

use std::{future, pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _, stream};
use lopside_delivery::MAX_PIXELS_METADATA;
use lopside_proto::v1::{UploadRequest, UploadResponse, ingest_service_server::IngestService};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use self::{connections::DeviceConnections, upload::UploadConnection};
use crate::{
    ServeError,
    archive::ServerArchive,
    auth::ClientIdentity,
    telemetry::{ingest::init_ingest_metrics, request_context::keep_request},
    transport::{ConnectionPeer, StreamMemory},
};

/// Capacity of the response queue of one connection.
const RESPONSE_CAPACITY: usize = 16;

/// The ingest service over an archive.
#[derive(Debug, Clone)]
pub(crate) struct GrpcIngestService {
    archive: Option<ServerArchive>,
    connections: Arc<DeviceConnections>,
    /// The largest image that the server decodes, in pixels.
    max_pixels: u64,
    ready: watch::Receiver<bool>,
}

impl GrpcIngestService {
    /// Creates the service. Without an archive, uploads are refused. `max_pixels` is the largest image that the server
    /// decodes, which devices are told. `ready` turns false when the server begins to stop.
    pub(crate) fn new(archive: Option<ServerArchive>, max_pixels: u64, ready: watch::Receiver<bool>) -> Self {
        events::init_counters();
        init_ingest_metrics();
        Self { archive, connections: Arc::default(), max_pixels, ready }
    }
}

#[tonic::async_trait]
impl IngestService for GrpcIngestService {
    type UploadStream = Pin<Box<dyn Stream<Item = Result<UploadResponse, Status>> + Send>>;

    async fn upload(
        &self,
        request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        let archive = self.archive.clone().ok_or(ServeError::NoArchive)?;
        if !*self.ready.borrow() {
            return Err(ServeError::Stopping.into());
        }
        let (responses, queued) = mpsc::channel(RESPONSE_CAPACITY);
        let peer = request.extensions().get::<Arc<ConnectionPeer>>().map(|peer| peer.address());
        let ServerArchive { archive, reports, .. } = archive;
        let upload = UploadConnection {
            archive,
            reports,
            connections: Arc::clone(&self.connections),
            identity: ClientIdentity::of_request(request.extensions()),
            peer,
            max_pixels: self.max_pixels,
            ready: self.ready.clone(),
            responses,
            memory: StreamMemory::of_request(request.extensions()),
            reporting: None,
            has_failed: false,
            has_alternated: false,
        };
        // A separate task, so that received messages are processed to the end even if the connection is lost.
        let task = tokio::spawn(keep_request(upload.run(request.into_inner())));
        let responses: Self::UploadStream = Box::pin(ReceiverStream::new(queued).chain(failure_of(task)));
        let mut response = Response::new(responses);
        response.metadata_mut().insert(MAX_PIXELS_METADATA, self.max_pixels.into());
        Ok(response)
    }
}

/// Returns the error of a task that has panicked, and nothing otherwise. Without it, the end of the stream would look like
/// an orderly one.
fn failure_of(task: JoinHandle<()>) -> impl Stream<Item = Result<UploadResponse, Status>> {
    let failure = async move {
        let error = task.await.err()?;
        Some(Err::<UploadResponse, Status>(ServeError::Internal(error.to_string()).into()))
    };
    stream::once(failure).filter_map(future::ready)
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_ends_its_stream_with_an_error() {
        let failures: Vec<_> = failure_of(tokio::spawn(async { panic!("a fault") })).collect().await;
        assert!(matches!(&failures[..], [Err(status)] if status.code() == Code::Internal), "{failures:?}");
        let none: Vec<_> = failure_of(tokio::spawn(async {})).collect().await;
        assert!(none.is_empty(), "{none:?}");
    }
}
