//! `lopside.v1.IngestService`: uploads of frames from devices into the archive.
//!
//! ```text
//! hello ─► newest connection of the device ─► records in the archive ─► welcome
//! frames ─► batch ─► archive: committed ─► acknowledgement, in the order of the messages
//! ```
//! Each device has one connection. After a device reconnects, to this server or to another server of the same
//! archive, the archive does not commit further messages of its older connections. The welcome message is
//! therefore complete, and only the new connection adds to it. An older connection to the same server is closed.
//!
//! After a message whose commit has failed, further messages are not acknowledged, even if they are committed:
//! an acknowledgement covers all messages before it.
//!
//! The contents of frames are not checked: a frame that the heads cannot read is archived as it arrived. If it
//! were refused, the device would retry it for ever.

mod connections;
mod unpack;
mod upload;

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use lopside_archive::Archive;
use lopside_proto::v1::{UploadRequest, UploadResponse, ingest_service_server::IngestService};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use self::{connections::DeviceConnections, upload::UploadConnection};
use crate::ServeError;

/// Capacity of the response queue of one connection.
const RESPONSE_CAPACITY: usize = 16;

/// The ingest service over an archive.
#[derive(Debug, Clone)]
pub(crate) struct GrpcIngestService {
    archive: Option<Archive>,
    connections: Arc<DeviceConnections>,
    ready: watch::Receiver<bool>,
}

impl GrpcIngestService {
    /// Creates the service. Without an archive, uploads are refused. `ready` turns false when the server begins
    /// to stop.
    pub(crate) fn new(archive: Option<Archive>, ready: watch::Receiver<bool>) -> Self {
        Self { archive, connections: Arc::default(), ready }
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
        let (responses, stream) = mpsc::channel(RESPONSE_CAPACITY);
        let upload = UploadConnection {
            archive,
            connections: Arc::clone(&self.connections),
            ready: self.ready.clone(),
            responses,
            has_failed: false,
        };
        // A separate task, so that received messages are processed to the end even if the connection is lost.
        tokio::spawn(upload.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}
