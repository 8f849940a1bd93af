//! `lopside.v1.IngestService`: frames from devices into the archive.
//!
//! ```text
//! hello ─► the device's newest connection ─► what the archive has ─► welcome
//! frames ─► batch ─► archive: committed ─► acknowledgement, in the order of the messages
//! ```
//! A device has one connection. When it comes on a new one, to this server or to another of the same archive, nothing is
//! committed any more of what came on an older one: so the welcome tells all that the archive has, and nothing is added to
//! it but by the new connection. An older one to this server is ended.
//!
//! After a message whose commit has failed none is acknowledged, though later ones may have been committed: an
//! acknowledgement stands for all before it.
//!
//! What a frame holds is not looked at: a frame that no head can read is archived as it came, because a device that is
//! told to come again with it would do so for ever.

mod places;
mod unpack;
mod upload;

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use lopside_archive::Archive;
use lopside_proto::v1::{UploadRequest, UploadResponse, ingest_service_server::IngestService};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use self::{places::Places, upload::Upload};
use crate::ServeError;

/// Acknowledgements that wait for a device.
const ANSWERS: usize = 16;

/// The service over an archive.
#[derive(Debug, Clone)]
pub(crate) struct Ingest {
    archive: Option<Archive>,
    places: Arc<Places>,
    ready: watch::Receiver<bool>,
}

impl Ingest {
    /// `ready` turns false when the server begins to stop.
    pub(crate) fn new(archive: Option<Archive>, ready: watch::Receiver<bool>) -> Self {
        Self { archive, places: Arc::default(), ready }
    }
}

#[tonic::async_trait]
impl IngestService for Ingest {
    type UploadStream = Pin<Box<dyn Stream<Item = Result<UploadResponse, Status>> + Send>>;

    async fn upload(
        &self,
        request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        let archive = self.archive.clone().ok_or(ServeError::NoArchive)?;
        if !*self.ready.borrow() {
            return Err(ServeError::Stopping.into());
        }
        let (answers, stream) = mpsc::channel(ANSWERS);
        let upload = Upload {
            archive,
            places: Arc::clone(&self.places),
            ready: self.ready.clone(),
            answers,
            failed: false,
        };
        // A task of its own: what was taken is brought to its end whatever becomes of the connection.
        tokio::spawn(upload.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}
