//! `cloud-decoder health`: checks whether a server accepts requests, for health checks of containers.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// Timeout for the connection, and for the response.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Checks the health of the server at a URL. The future is boxed, so that its code is compiled only here.
///
/// # Errors
/// The reason why the server does not accept requests: it is unreachable, does not respond, or is stopping.
#[must_use]
pub fn check_server(url: &str) -> BoxFuture<'_, Result<(), String>> {
    Box::pin(check(url))
}

async fn check(url: &str) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| format!("{url:?}: {error}"))?;
    let channel = endpoint.connect_timeout(TIMEOUT).timeout(TIMEOUT).connect().await;
    let channel = channel.map_err(|error| format!("cannot connect to {url}: {error}"))?;
    let response = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    let response = response.map_err(|status| format!("{url} does not respond: {}", status.message()))?;
    match response.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        status => Err(format!("the status of {url} is {}", status.as_str_name())),
    }
}
