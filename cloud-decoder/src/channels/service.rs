//! The gRPC service `lopside.v1.BundleService`.

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use lopside_latent::LatentSpaceId;
use lopside_proto::v1::{
    BundleFile, DownloadRequest, DownloadResponse, GetChannelRequest, GetChannelResponse,
    bundle_service_server::BundleService,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::{Channels, Offer, device_log::DeviceLog, download::Download};
use crate::{ServeError, auth::ClientIdentity};

/// The service for the channels of a server.
#[derive(Debug, Clone)]
pub(crate) struct GrpcBundleService {
    channels: Channels,
    device_log: Arc<DeviceLog>,
    ready: watch::Receiver<bool>,
}

impl GrpcBundleService {
    /// Creates the service. `ready` turns false when the server begins to stop.
    pub(crate) fn new(channels: Channels, ready: watch::Receiver<bool>) -> Self {
        Self { channels, device_log: Arc::default(), ready }
    }

    fn check_ready(&self) -> Result<(), ServeError> {
        if *self.ready.borrow() { Ok(()) } else { Err(ServeError::Stopping) }
    }
}

#[tonic::async_trait]
impl BundleService for GrpcBundleService {
    type DownloadStream = Pin<Box<dyn Stream<Item = Result<DownloadResponse, Status>> + Send>>;

    async fn get_channel(
        &self,
        request: Request<GetChannelRequest>,
    ) -> Result<Response<GetChannelResponse>, Status> {
        self.check_ready()?;
        let identity = ClientIdentity::of_request(request.extensions());
        let GetChannelRequest { channel, device, latent_space } = request.into_inner();
        let device_space = parse_latent_space(&latent_space)?;
        identity.check_device(&device)?;
        let offer = self.channels.current_offer(&channel).await?;
        self.device_log.log_mismatch(&device, &channel, device_space, offer.latent_space);
        Ok(Response::new(channel_response(&offer)))
    }

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        self.check_ready()?;
        let DownloadRequest { sha256, offset } = request.into_inner();
        if sha256.len() != 32 {
            return Err(
                ServeError::InvalidRequest(format!("sha256 has {} bytes, not 32", sha256.len())).into()
            );
        }
        let file = self.channels.find_file(&sha256).await?;
        let download = Download::open(file, offset, self.ready.clone()).await?;
        Ok(Response::new(Box::pin(download.into_chunks())))
    }
}

fn parse_latent_space(bytes: &[u8]) -> Result<Option<LatentSpaceId>, ServeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes
        .try_into()
        .map(|bytes| Some(LatentSpaceId::new(bytes)))
        .map_err(|_| ServeError::InvalidRequest(format!("latent_space has {} bytes, not 8", bytes.len())))
}

fn channel_response(offer: &Offer) -> GetChannelResponse {
    let files = offer.files.iter().map(|file| BundleFile {
        path: file.path.clone(),
        bytes: file.bytes,
        sha256: file.sha256.to_vec(),
    });
    GetChannelResponse {
        bundle: offer.bundle.clone(),
        latent_space: offer.latent_space.as_bytes().to_vec(),
        files: files.collect(),
    }
}
