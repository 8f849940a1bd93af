//! The gRPC service `lopside.v1.BundleService`.

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use lopside_archive::device_fault;
use lopside_latent::LatentSpaceId;
use lopside_proto::v1::{
    BundleFile, DownloadRequest, DownloadResponse, GetChannelRequest, GetChannelResponse,
    bundle_service_server::BundleService,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::{Channels, Offer, Offered, devices::Devices, download::Download};
use crate::ServeError;

/// The service for the channels of a server.
#[derive(Debug, Clone)]
pub(crate) struct Bundles {
    channels: Channels,
    devices: Arc<Devices>,
    ready: watch::Receiver<bool>,
}

impl Bundles {
    /// Creates the service. `ready` turns false when the server begins to stop.
    pub(crate) fn new(channels: Channels, ready: watch::Receiver<bool>) -> Self {
        Self { channels, devices: Arc::default(), ready }
    }

    fn check_ready(&self) -> Result<(), ServeError> {
        if *self.ready.borrow() { Ok(()) } else { Err(ServeError::Stopping) }
    }
}

#[tonic::async_trait]
impl BundleService for Bundles {
    type DownloadStream = Pin<Box<dyn Stream<Item = Result<DownloadResponse, Status>> + Send>>;

    async fn get_channel(
        &self,
        request: Request<GetChannelRequest>,
    ) -> Result<Response<GetChannelResponse>, Status> {
        self.check_ready()?;
        let GetChannelRequest { channel, device, latent_space } = request.into_inner();
        let has = space_of(&latent_space)?;
        check_device(&device)?;
        let offer = self.channels.offer(&channel).await?;
        self.devices.saw(&device, &channel, has, offer.latent_space);
        Ok(Response::new(response_of(&offer)))
    }

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        self.check_ready()?;
        let DownloadRequest { sha256, offset } = request.into_inner();
        if sha256.len() != 32 {
            return Err(ServeError::Request(format!("sha256 has {} bytes, not 32", sha256.len())).into());
        }
        let file = self.channels.find(&sha256).await?;
        let download = Download::open(file, offset, self.ready.clone()).await?;
        Ok(Response::new(Box::pin(download.pieces())))
    }
}

fn space_of(bytes: &[u8]) -> Result<Option<LatentSpaceId>, ServeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let wrong = |_| ServeError::Request(format!("latent_space has {} bytes, not 8", bytes.len()));
    bytes.try_into().map(|bytes| Some(LatentSpaceId::new(bytes))).map_err(wrong)
}

fn check_device(device: &str) -> Result<(), ServeError> {
    device_fault(device).map_or(Ok(()), |reason| Err(ServeError::Request(reason)))
}

fn response_of(offer: &Offer) -> GetChannelResponse {
    let file = |file: &Offered| BundleFile {
        path: file.path.clone(),
        bytes: file.bytes,
        sha256: file.sha256.to_vec(),
    };
    GetChannelResponse {
        bundle: offer.bundle.clone(),
        latent_space: offer.latent_space.as_bytes().to_vec(),
        files: offer.files.iter().map(file).collect(),
    }
}
