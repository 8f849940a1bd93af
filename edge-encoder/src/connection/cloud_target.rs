//! The address of a cloud-decoder, and the connection to it.

use std::{env, error::Error, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint, Uri},
};

use super::{
    ProxyAddress, SecuritySettings,
    counted_stream::{CountedStream, WireCounters},
    host_and_port::HostAndPort,
    proxy::is_this_machine,
    tunnel::{ProxyError, open_tunnel},
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
    host_and_port: HostAndPort,
    security: SecuritySettings,
    proxy: Option<ProxyAddress>,
    bearer: Option<MetadataValue<Ascii>>,
}

impl CloudTarget {
    /// Checks an `http://` or `https://` address of a cloud-decoder, without connecting.
    ///
    /// # Errors
    /// [`ConnectionError::InvalidEndpoint`] for an invalid address, [`ConnectionError::InvalidProxy`], and errors about
    /// the files of `security`.
    pub(crate) fn new(url: &str, security: &SecuritySettings) -> Result<Self, EdgeError> {
        let bearer = security.bearer()?;
        let (uri, host_and_port) = parse_endpoint(url)?;
        secure_endpoint(url, uri.clone(), security)?;
        let proxy = security.proxy.proxy_for(&uri, |name| env::var(name).ok())?;
        Ok(Self { url: url.to_owned(), host_and_port, security: security.clone(), proxy, bearer })
    }

    /// Returns the value of the `authorization` metadata.
    pub(crate) fn bearer(&self) -> Option<MetadataValue<Ascii>> {
        self.bearer.clone()
    }

    /// Returns the proxy on the way to the server; `None` without one.
    pub(crate) fn proxy(&self) -> Option<&ProxyAddress> {
        self.proxy.as_ref()
    }

    /// Returns whether there is an API key and everyone on the way to the server can read it: without TLS, unless the
    /// server is on this machine.
    pub(crate) fn exposes_key(&self) -> bool {
        let is_secured = self.url.to_ascii_lowercase().starts_with("https:");
        let stays_here = self.proxy.is_none() && is_this_machine(&self.host_and_port.host);
        self.bearer.is_some() && !is_secured && !stays_here
    }

    /// Logs a warning if everyone on the way to the server can read the API key.
    pub(crate) fn warn_about_exposed_key(&self) {
        if self.exposes_key() {
            tracing::warn!(endpoint = self.url, "the API key is sent unencrypted; use an https:// address");
        }
    }

    /// Connects, and counts the bytes sent and received. `timeout` also applies to each request. The files of
    /// certificates and keys are read again, because they may have been renewed.
    ///
    /// # Errors
    /// [`ConnectionError::Connect`] if the server does not answer or the TLS handshake fails,
    /// [`ConnectionError::Proxy`] if the proxy does not let the connection through, and errors about the files.
    pub(crate) async fn connect(
        &self,
        counters: &WireCounters,
        timeout: Option<Duration>,
    ) -> Result<Channel, EdgeError> {
        let (uri, _) = parse_endpoint(&self.url)?;
        let endpoint = secure_endpoint(&self.url, uri, &self.security)?
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_timeout(timeout.unwrap_or(CONNECT_TIMEOUT));
        let endpoint = match timeout {
            Some(timeout) => endpoint.timeout(timeout),
            None => endpoint,
        };
        let (counters, target) = (counters.clone(), self.clone());
        let connector = tower::service_fn(move |_: Uri| {
            let (counters, target) = (counters.clone(), target.clone());
            async move {
                let stream = target.open_stream().await?;
                stream.set_nodelay(true)?;
                Ok::<_, Box<dyn Error + Send + Sync>>(TokioIo::new(CountedStream::new(stream, counters)))
            }
        });
        let connected = endpoint.connect_with_connector(connector).await;
        connected.map_err(|error| connect_error(&self.url, &error))
    }

    /// Opens a TCP connection to the server, directly or through the proxy.
    async fn open_stream(&self) -> Result<TcpStream, Box<dyn Error + Send + Sync>> {
        match &self.proxy {
            Some(proxy) => Ok(open_tunnel(proxy, &self.host_and_port).await?),
            None => Ok(TcpStream::connect(self.host_and_port.to_string()).await?),
        }
    }
}

fn secure_endpoint(url: &str, uri: Uri, security: &SecuritySettings) -> Result<Endpoint, EdgeError> {
    let is_secured = uri.scheme_str() == Some("https");
    let target = Endpoint::from(uri);
    if is_secured {
        let secured = target.tls_config(security.tls_config()?);
        return secured.map_err(|error| connect_error(url, &error));
    }
    if security.needs_tls() {
        return Err(ConnectionError::TlsRequired { endpoint: url.to_owned() }.into());
    }
    Ok(target)
}

fn parse_endpoint(endpoint: &str) -> Result<(Uri, HostAndPort), EdgeError> {
    let uri: Uri = endpoint.parse().map_err(|error| invalid_endpoint(endpoint, format!("{error}")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid_endpoint(endpoint, "it does not start with http:// or https://".into()));
    }
    let host_and_port = HostAndPort::of_uri(&uri)
        .ok_or_else(|| invalid_endpoint(endpoint, "it does not contain a host and a valid port".into()))?;
    Ok((uri, host_and_port))
}

fn invalid_endpoint(endpoint: &str, reason: String) -> EdgeError {
    ConnectionError::InvalidEndpoint { endpoint: endpoint.to_owned(), reason }.into()
}

fn connect_error(endpoint: &str, error: &tonic::transport::Error) -> EdgeError {
    let endpoint = endpoint.to_owned();
    match find_proxy_error(error) {
        Some(proxy_error) => ConnectionError::Proxy { endpoint, reason: proxy_error.to_string() }.into(),
        None => ConnectionError::Connect { endpoint, reason: innermost(error) }.into(),
    }
}

/// Returns the error of the proxy among the causes of an error.
fn find_proxy_error(error: &tonic::transport::Error) -> Option<&ProxyError> {
    let mut cause = error.source();
    while let Some(current) = cause {
        let found = current.downcast_ref();
        if found.is_some() {
            return found;
        }
        cause = current.source();
    }
    None
}

/// Converts the status of a refused request.
pub(crate) fn remote_error(status: &Status) -> EdgeError {
    ConnectionError::Remote { code: format!("{:?}", status.code()), message: status.message().to_owned() }
        .into()
}

/// Returns the innermost cause: tonic's own message is only "transport error".
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::ProxyChoice;

    #[test]
    fn invalid_addresses_are_refused_with_the_reason() {
        for (endpoint, expected) in [
            ("localhost:8080", "http://"),
            ("http://", "empty"),
            ("ftp://x", "http://"),
            ("http://x:99999", "valid port"),
        ] {
            let error = parse_endpoint(endpoint).unwrap_err().to_string();
            assert!(error.contains(expected), "{endpoint}: {error}");
        }
    }

    #[test]
    fn certificates_are_refused_for_a_connection_without_tls() {
        let security = SecuritySettings { ca: Some("ca.pem".into()), ..SecuritySettings::default() };
        let error = CloudTarget::new("http://x", &security).unwrap_err().to_string();
        assert!(error.contains("https://") && error.contains("--ca"), "{error}");
    }

    #[test]
    fn a_key_is_exposed_on_the_way_to_another_machine_without_tls() {
        let exposes = |url: &str, api_key: Option<&str>| {
            let api_key = api_key.map(|key| key.to_owned().into());
            let proxy = ProxyChoice::Direct;
            let security = SecuritySettings { api_key, proxy, ..SecuritySettings::default() };
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
        let proxy = ProxyChoice::Address(ProxyAddress::parse("proxy.example:3128").unwrap());
        let api_key = Some("lps_key".to_owned().into());
        let security = SecuritySettings { api_key, proxy, ..SecuritySettings::default() };
        assert!(CloudTarget::new("http://localhost", &security).unwrap().exposes_key(), "that of the proxy");
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_the_cause() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = ProxyAddress::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
            // The answer must not be lost because the request was not read.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let security = SecuritySettings { proxy: ProxyChoice::Address(proxy), ..SecuritySettings::default() };
        let target = CloudTarget::new("https://decoder.example", &security).unwrap();
        let error = target.connect(&WireCounters::default(), None).await.unwrap_err();
        assert!(matches!(&error, EdgeError::Connection(ConnectionError::Proxy { .. })), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("https://decoder.example") && text.contains("403 Forbidden"), "{text}");
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
