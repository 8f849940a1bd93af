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
        time_limit: Duration,
    ) -> Result<GetChannelResponse, EdgeError> {
        let request = self.authorized_request(request);
        unwrap_response(timeout(time_limit, self.service.get_channel(request)).await.ok(), time_limit)
    }

    /// Downloads a file, starting at an offset.
    ///
    /// # Errors
    /// [`ConnectionError::Remote`](crate::ConnectionError::Remote) with the cloud's reason.
    pub(super) async fn download(
        &mut self,
        request: DownloadRequest,
        time_limit: Duration,
    ) -> Result<Streaming<DownloadResponse>, EdgeError> {
        let request = self.authorized_request(request);
        unwrap_response(timeout(time_limit, self.service.download(request)).await.ok(), time_limit)
    }

    fn authorized_request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }
}

/// Unwraps a response; `None` means that none arrived in time.
fn unwrap_response<T>(
    response: Option<Result<tonic::Response<T>, Status>>,
    time_limit: Duration,
) -> Result<T, EdgeError> {
    response
        .unwrap_or_else(|| {
            Err(Status::deadline_exceeded(format!("no answer within {} s", time_limit.as_secs())))
        })
        .map(tonic::Response::into_inner)
        .map_err(|status| remote_error(&status))
}
