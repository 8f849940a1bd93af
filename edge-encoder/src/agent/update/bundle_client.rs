//! Client of the cloud's `lopside.v1.BundleService`.

use std::time::Duration;

use lopside_proto::v1::{
    DownloadRequest, DownloadResponse, GetChannelRequest, GetChannelResponse,
    bundle_service_client::BundleServiceClient,
};
use tokio::time::timeout;
use tonic::{
    Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{
    EdgeError,
    connection::{CloudTarget, WireCounters, remote_error},
};

/// A connection to the bundle service.
pub(crate) struct BundleClient {
    service: BundleServiceClient<Channel>,
    bearer: Option<MetadataValue<Ascii>>,
}

impl BundleClient {
    /// Connects.
    ///
    /// # Errors
    /// [`ConnectionError::Connect`](crate::ConnectionError::Connect).
    pub(crate) async fn connect(target: &CloudTarget) -> Result<Self, EdgeError> {
        let channel = target.connect(&WireCounters::default(), None).await?;
        Ok(Self { service: BundleServiceClient::new(channel), bearer: target.bearer() })
    }

    /// Requests the current offer of a channel.
    ///
    /// # Errors
    /// [`ConnectionError::Remote`](crate::ConnectionError::Remote) with the cloud's reason.
    pub(crate) async fn get_channel(
        &mut self,
        request: GetChannelRequest,
        patience: Duration,
    ) -> Result<GetChannelResponse, EdgeError> {
        let request = self.authorized_request(request);
        unwrap_answer(timeout(patience, self.service.get_channel(request)).await.ok(), patience)
    }

    /// Downloads a file, starting at an offset.
    ///
    /// # Errors
    /// [`ConnectionError::Remote`](crate::ConnectionError::Remote) with the cloud's reason.
    pub(super) async fn download(
        &mut self,
        request: DownloadRequest,
        patience: Duration,
    ) -> Result<Streaming<DownloadResponse>, EdgeError> {
        let request = self.authorized_request(request);
        unwrap_answer(timeout(patience, self.service.download(request)).await.ok(), patience)
    }

    fn authorized_request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }
}

/// Unwraps an answer; `None` means that none arrived in time.
fn unwrap_answer<T>(
    answer: Option<Result<tonic::Response<T>, Status>>,
    patience: Duration,
) -> Result<T, EdgeError> {
    answer
        .unwrap_or_else(|| {
            Err(Status::deadline_exceeded(format!("no answer within {} s", patience.as_secs())))
        })
        .map(tonic::Response::into_inner)
        .map_err(|status| remote_error(&status))
}
