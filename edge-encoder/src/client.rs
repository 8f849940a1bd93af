//! Client of `lopside.v1.DecoderService`.

use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use lopside_proto::v1::{
    self, DecodeRequest, OutputFormat, OutputRequest, decoder_service_client::DecoderServiceClient,
    output::Value,
};
use lopside_telemetry::context;
use tokio::net::TcpStream;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint, Uri},
};
use tracing::Instrument as _;

pub(crate) use crate::wire::WireCounters;
use crate::{EdgeError, SecuritySettings, wire::CountedStream};

/// The largest answer that is accepted, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Time limit for a connection if the caller does not set one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Interval of keep-alive pings on an idle connection, and time limit for their answer; they detect a lost
/// peer.
const PING_INTERVAL: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection to one cloud-decoder.
#[derive(Debug)]
pub struct DecoderClient {
    service: DecoderServiceClient<Channel>,
    counters: WireCounters,
    timeout: Duration,
    bearer: Option<MetadataValue<Ascii>>,
}

/// A frame decoded by the cloud.
#[derive(Debug, Clone)]
pub struct DecodedFrame {
    /// One output per requested head, in that order; without requested heads, the output of the first head.
    pub outputs: Vec<Value>,
    /// Time between the request and the complete answer.
    pub round_trip: Duration,
    /// Bytes that this request sent over TCP, including gRPC, HTTP/2 and TLS.
    pub sent_bytes: u64,
    /// Bytes of the answer over TCP.
    pub received_bytes: u64,
}

impl DecoderClient {
    /// Connects to a cloud-decoder at an `http://` or `https://` address.
    ///
    /// # Errors
    /// [`EdgeError::InvalidEndpoint`] for an invalid address, [`EdgeError::Connect`] if the server does not answer
    /// or the TLS handshake fails, and errors about the files of `security`.
    pub async fn connect(
        endpoint: &str,
        timeout: Duration,
        security: &SecuritySettings,
    ) -> Result<Self, EdgeError> {
        let target = CloudTarget::new(endpoint, security)?;
        let counters = WireCounters::default();
        let channel = target.connect(&counters, Some(timeout)).await?;
        let service = DecoderServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { service, counters, timeout, bearer: target.bearer })
    }

    /// Requests the decoding of one frame by these heads of its bundle, or by the first head if `heads` is
    /// empty. `input` is the reference input, which is sent along if there is one.
    ///
    /// # Errors
    /// [`EdgeError::Remote`] with the cloud's reason, [`EdgeError::UnexpectedAnswer`] if the answer does not match the
    /// request.
    pub async fn decode(
        &mut self,
        frame: Vec<u8>,
        heads: &[String],
        input: Option<v1::Input>,
    ) -> Result<DecodedFrame, EdgeError> {
        let mut request = Request::new(DecodeRequest {
            frames: vec![frame.into()],
            bundle: String::new(),
            outputs: heads
                .iter()
                .map(|head| OutputRequest {
                    head: head.clone(),
                    format: OutputFormat::Unspecified.into(),
                    version: 0,
                })
                .collect(),
            inputs: input.into_iter().collect(),
        });
        request.set_timeout(self.timeout);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        let span = tracing::info_span!("send", otel.kind = "client");
        context::set_parent_from_environment(&span);
        if let Some(parent) = context::outgoing(&span).and_then(|parent| parent.parse().ok()) {
            request.metadata_mut().insert(context::TRACEPARENT, parent);
        }
        let (sent, received) = self.counters.read();
        let start = Instant::now();
        let answer = self
            .service
            .decode(request)
            .instrument(span)
            .await
            .map_err(|status| remote_error(&status))?
            .into_inner();
        let round_trip = start.elapsed();
        let (sent_after, received_after) = self.counters.read();
        let outputs = answer.frames.into_iter().flat_map(|frame| frame.outputs);
        let outputs: Vec<Value> = outputs.filter_map(|output| output.value).collect();
        let expected = heads.len().max(1);
        if outputs.len() != expected {
            return Err(EdgeError::UnexpectedAnswer(format!(
                "it has {} outputs instead of {expected}",
                outputs.len()
            )));
        }
        Ok(DecodedFrame {
            outputs,
            round_trip,
            sent_bytes: sent_after - sent,
            received_bytes: received_after - received,
        })
    }
}

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
    /// [`EdgeError::InvalidEndpoint`] for an invalid address, and errors about the files of `security`.
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

    /// Connects, and counts the bytes sent and received. `timeout` also applies to each request.
    ///
    /// # Errors
    /// [`EdgeError::Connect`] if the server does not answer or the TLS handshake fails.
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
        return Err(EdgeError::TlsRequired { endpoint: endpoint.to_owned() });
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
    EdgeError::InvalidEndpoint { endpoint: endpoint.to_owned(), reason }
}

fn connect_error(endpoint: &str, error: &tonic::transport::Error) -> EdgeError {
    EdgeError::Connect { endpoint: endpoint.to_owned(), reason: innermost(error) }
}

fn host_and_port(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    format!("{host}:{}", uri.port_u16().unwrap_or(default))
}

/// Converts the status of a refused request.
pub(crate) fn remote_error(status: &Status) -> EdgeError {
    EdgeError::Remote { code: format!("{:?}", status.code()), message: status.message().to_owned() }
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
    fn addresses_that_cannot_be_right_are_refused_with_the_reason() {
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
    fn certificates_for_a_connection_without_tls_are_a_mistake() {
        let security = SecuritySettings { ca: Some("ca.pem".into()), ..SecuritySettings::default() };
        let error = secure_endpoint("http://x", &security).unwrap_err().to_string();
        assert!(error.contains("https://") && error.contains("--ca"), "{error}");
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_the_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (url, security) = (format!("http://{free}"), SecuritySettings::default());
        let error = DecoderClient::connect(&url, Duration::from_secs(5), &security).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&free.to_string()) && text.contains("refused"), "{text}");
    }
}
