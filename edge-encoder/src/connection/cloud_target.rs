//! The address of a cloud-decoder, and the connection to it.

use std::{net::IpAddr, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint, Uri},
};

use super::{
    SecuritySettings,
    counted_stream::{CountedStream, WireCounters},
};
use crate::{EdgeError, error::ConnectionError};

/// Time limit for a connection if the caller does not set one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Interval of keep-alive pings on an idle connection, and time limit for the response; they detect a lost
/// peer.
const PING_INTERVAL: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Address of a server with the connection settings.
#[derive(Debug, Clone)]
pub(crate) struct CloudTarget {
    url: String,
    endpoint: Endpoint,
    bearer: Option<MetadataValue<Ascii>>,
}

impl CloudTarget {
    /// Checks an `http://` or `https://` address of a cloud-decoder, without connecting.
    ///
    /// # Errors
    /// [`ConnectionError::InvalidEndpoint`] for an invalid address, and errors about the files of `security`.
    pub(crate) fn new(url: &str, security: &SecuritySettings) -> Result<Self, EdgeError> {
        let bearer = security.bearer()?;
        let endpoint = secure_endpoint(url, security)?
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        Ok(Self { url: url.to_owned(), endpoint, bearer })
    }

    /// Returns the value of the `authorization` metadata.
    pub(crate) fn bearer(&self) -> Option<MetadataValue<Ascii>> {
        self.bearer.clone()
    }

    /// Returns whether there is an API key and everyone on the way to the server can read it: without TLS, unless the
    /// server is on this machine.
    pub(crate) fn exposes_key(&self) -> bool {
        let uri = self.endpoint.uri();
        self.bearer.is_some() && uri.scheme_str() != Some("https") && !uri.host().is_some_and(is_this_machine)
    }

    /// Logs a warning if everyone on the way to the server can read the API key.
    pub(crate) fn warn_about_exposed_key(&self) {
        if self.exposes_key() {
            tracing::warn!(endpoint = self.url, "the API key is sent unencrypted; use an https:// address");
        }
    }

    /// Connects, and counts the bytes sent and received. `timeout` also applies to each request.
    ///
    /// # Errors
    /// [`ConnectionError::Connect`] if the server does not answer or the TLS handshake fails.
    pub(crate) async fn connect(
        &self,
        counters: &WireCounters,
        timeout: Option<Duration>,
    ) -> Result<Channel, EdgeError> {
        let endpoint = self.endpoint.clone().connect_timeout(timeout.unwrap_or(CONNECT_TIMEOUT));
        let endpoint = match timeout {
            Some(timeout) => endpoint.timeout(timeout),
            None => endpoint,
        };
        let counted = counters.clone();
        let connector = tower::service_fn(move |uri: Uri| {
            let counters = counted.clone();
            async move {
                let stream = TcpStream::connect(host_and_port(&uri)).await?;
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(CountedStream::new(stream, counters)))
            }
        });
        let connected = endpoint.connect_with_connector(connector).await;
        connected.map_err(|error| connect_error(&self.url, &error))
    }
}

fn secure_endpoint(endpoint: &str, security: &SecuritySettings) -> Result<Endpoint, EdgeError> {
    let target = parse_endpoint(endpoint)?;
    if target.uri().scheme_str() == Some("https") {
        let secured = target.tls_config(security.tls_config()?);
        return secured.map_err(|error| connect_error(endpoint, &error));
    }
    if security.needs_tls() {
        return Err(ConnectionError::TlsRequired { endpoint: endpoint.to_owned() }.into());
    }
    Ok(target)
}

fn parse_endpoint(endpoint: &str) -> Result<Endpoint, EdgeError> {
    let uri: Uri = endpoint.parse().map_err(|error| invalid_endpoint(endpoint, format!("{error}")))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some() => Ok(Endpoint::from(uri)),
        _ => Err(invalid_endpoint(endpoint, "it does not start with http:// or https://".into())),
    }
}

fn invalid_endpoint(endpoint: &str, reason: String) -> EdgeError {
    ConnectionError::InvalidEndpoint { endpoint: endpoint.to_owned(), reason }.into()
}

fn connect_error(endpoint: &str, error: &tonic::transport::Error) -> EdgeError {
    ConnectionError::Connect { endpoint: endpoint.to_owned(), reason: innermost(error) }.into()
}

/// Returns whether a host is this machine itself, so that what is sent to it does not leave the machine.
fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
        || name == "localhost"
        || name.ends_with(".localhost")
}

fn host_and_port(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    format!("{host}:{}", uri.port_u16().unwrap_or(default))
}

/// Converts the status of a refused request.
pub(crate) fn remote_error(status: &Status) -> EdgeError {
    ConnectionError::Remote { code: format!("{:?}", status.code()), message: status.message().to_owned() }
        .into()
}

/// Returns the innermost cause: tonic's own message is only "transport error".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_addresses_are_refused_with_the_reason() {
        for (endpoint, expected) in
            [("localhost:8080", "http://"), ("http://", "empty"), ("ftp://x", "http://")]
        {
            let error = parse_endpoint(endpoint).unwrap_err().to_string();
            assert!(error.contains(expected), "{endpoint}: {error}");
        }
        for (endpoint, expected) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://x", "x:80"),
            ("https://x", "x:443"),
            ("https://x:8443", "x:8443"),
        ] {
            assert_eq!(host_and_port(parse_endpoint(endpoint).unwrap().uri()), expected);
        }
    }

    #[test]
    fn certificates_are_refused_for_a_connection_without_tls() {
        let security = SecuritySettings { ca: Some("ca.pem".into()), ..SecuritySettings::default() };
        let error = secure_endpoint("http://x", &security).unwrap_err().to_string();
        assert!(error.contains("https://") && error.contains("--ca"), "{error}");
    }

    #[test]
    fn a_key_is_exposed_on_the_way_to_another_machine_without_tls() {
        let exposes = |url: &str, api_key: Option<&str>| {
            let api_key = api_key.map(|key| key.to_owned().into());
            let security = SecuritySettings { api_key, ..SecuritySettings::default() };
            CloudTarget::new(url, &security).unwrap().exposes_key()
        };
        for url in
            ["http://decoder.example", "http://192.0.2.7:8080", "http://[2001:db8::1]:80", "http://0.0.0.0"]
        {
            assert!(exposes(url, Some("lps_key")) && !exposes(url, None), "{url}");
        }
        for url in [
            "https://decoder.example",
            "http://127.0.0.1:8080",
            "http://127.8.8.8",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]:8080",
            "http://localhost:8080",
            "http://LOCALHOST.",
            "http://decoder.localhost",
        ] {
            assert!(!exposes(url, Some("lps_key")), "{url}");
        }
        assert!(exposes("http://localhost.example", Some("lps_key")));
    }

    #[tokio::test]
    async fn a_refused_connection_is_reported_with_the_address() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (url, security) = (format!("http://{address}"), SecuritySettings::default());
        let target = CloudTarget::new(&url, &security).unwrap();
        let connected = target.connect(&WireCounters::default(), Some(Duration::from_secs(5))).await;
        let error = connected.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains("refused"), "{text}");
    }
}
