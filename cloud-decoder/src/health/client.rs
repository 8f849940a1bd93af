//! `cloud-decoder health`: checks whether a server accepts requests, for health checks of containers.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// Timeout for the connection, and for the response.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Checks the health of a gRPC service of the server at a URL; the empty name is the server as a whole. The future is
/// boxed, so that its code is compiled only here.
///
/// # Errors
/// The reason why the service does not accept requests: the server is unreachable, does not respond, is stopping or does
/// not have the service, or the service has failed.
#[must_use]
pub fn check_server<'a>(url: &'a str, service: &'a str) -> BoxFuture<'a, Result<(), String>> {
    Box::pin(check(url, service))
}

async fn check(url: &str, service: &str) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| format!("{url:?}: {error}"))?;
    let channel = endpoint.connect_timeout(TIMEOUT).timeout(TIMEOUT).connect().await;
    let channel = channel.map_err(|error| format!("cannot connect to {url}: {error}"))?;
    let request = HealthCheckRequest { service: service.to_owned() };
    let response = HealthClient::new(channel).check(request).await.map_err(|status| match status.code() {
        Code::NotFound => format!(
            "{url} does not have the service {service:?}: give a name such as lopside.v1.IngestService, or none for \
             the server as a whole"
        ),
        _ => format!("{url} does not respond: {}", status.message()),
    })?;
    match response.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        status if service.is_empty() => Err(format!("the status of {url} is {}", status.as_str_name())),
        status => Err(format!("the status of {service} at {url} is {}", status.as_str_name())),
    }
}
