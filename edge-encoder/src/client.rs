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

pub(crate) use crate::wire::Counters;
use crate::{EdgeError, Security, wire::Counted};

/// The largest answer that is accepted, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Time limit for a connection if the caller does not set one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Interval of keep-alive pings on an idle connection, and time limit for their answer; they detect a lost
/// peer.
const PING: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection to one cloud-decoder.
#[derive(Debug)]
pub struct Client {
    service: DecoderServiceClient<Channel>,
    counters: Counters,
    timeout: Duration,
    bearer: Option<MetadataValue<Ascii>>,
}

/// A frame decoded by the cloud.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// One output per requested head, in that order; without requested heads, the output of the first head.
    pub outputs: Vec<Value>,
    /// Time between the request and the complete answer.
    pub round_trip: Duration,
    /// Bytes that this request sent over TCP, including gRPC, HTTP/2 and TLS.
    pub sent_bytes: u64,
    /// Bytes of the answer over TCP.
    pub received_bytes: u64,
}

impl Client {
    /// Connects to a cloud-decoder at an `http://` or `https://` address.
    ///
    /// # Errors
    /// [`EdgeError::Endpoint`] for an invalid address, [`EdgeError::Connect`] if the server does not answer
    /// or the TLS handshake fails, and errors about the files of `security`.
    pub async fn connect(endpoint: &str, timeout: Duration, security: &Security) -> Result<Self, EdgeError> {
        let target = Target::new(endpoint, security)?;
        let counters = Counters::default();
        let channel = target.connect(&counters, Some(timeout)).await?;
        let service = DecoderServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { service, counters, timeout, bearer: target.bearer })
    }

    /// Requests the decoding of one frame by these heads of its bundle, or by the first head if `heads` is
    /// empty. `input` is the reference input, which is sent along if there is one.
    ///
    /// # Errors
    /// [`EdgeError::Remote`] with the cloud's reason, [`EdgeError::Answer`] if the answer does not match the
    /// request.
    pub async fn decode(
        &mut self,
        frame: Vec<u8>,
        heads: &[String],
        input: Option<v1::Input>,
    ) -> Result<Decoded, EdgeError> {
        let output = |head: &String| OutputRequest {
            head: head.clone(),
            format: OutputFormat::Unspecified.into(),
            version: 0,
        };
        let mut request = Request::new(DecodeRequest {
            frames: vec![frame.into()],
            bundle: String::new(),
            outputs: heads.iter().map(output).collect(),
            inputs: input.into_iter().collect(),
        });
        request.set_timeout(self.timeout);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        let span = tracing::info_span!("send", otel.kind = "client");
        context::from_environment(&span);
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
            .map_err(|status| remote(&status))?
            .into_inner();
        let round_trip = start.elapsed();
        let (sent_after, received_after) = self.counters.read();
        let outputs = answer.frames.into_iter().flat_map(|frame| frame.outputs);
        let outputs: Vec<Value> = outputs.filter_map(|output| output.value).collect();
        let expected = heads.len().max(1);
        if outputs.len() != expected {
            return Err(EdgeError::Answer(format!("it has {} outputs instead of {expected}", outputs.len())));
        }
        Ok(Decoded {
            outputs,
            round_trip,
            sent_bytes: sent_after - sent,
            received_bytes: received_after - received,
        })
    }
}

/// Address of a server with the connection settings.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    url: String,
    endpoint: Endpoint,
    bearer: Option<MetadataValue<Ascii>>,
}

impl Target {
    /// Checks an `http://` or `https://` address of a cloud-decoder, without connecting.
    ///
    /// # Errors
    /// [`EdgeError::Endpoint`] for an invalid address, and errors about the files of `security`.
    pub(crate) fn new(url: &str, security: &Security) -> Result<Self, EdgeError> {
        let bearer = security.bearer()?;
        let endpoint = secured(url, security)?
            .http2_keep_alive_interval(PING)
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
        counters: &Counters,
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
                let stream = TcpStream::connect(authority(&uri)).await?;
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(Counted::new(stream, counters)))
            }
        });
        let refused = |error| EdgeError::Connect { endpoint: self.url.clone(), reason: innermost(&error) };
        endpoint.connect_with_connector(connector).await.map_err(refused)
    }
}

fn secured(endpoint: &str, security: &Security) -> Result<Endpoint, EdgeError> {
    let target = parse(endpoint)?;
    if target.uri().scheme_str() == Some("https") {
        let refused = |error: tonic::transport::Error| EdgeError::Connect {
            endpoint: endpoint.to_owned(),
            reason: innermost(&error),
        };
        return target.tls_config(security.tls()?).map_err(refused);
    }
    if security.needs_tls() {
        return Err(EdgeError::NoTls { endpoint: endpoint.to_owned() });
    }
    Ok(target)
}

fn parse(endpoint: &str) -> Result<Endpoint, EdgeError> {
    let bad = |reason: String| EdgeError::Endpoint { endpoint: endpoint.to_owned(), reason };
    let uri: Uri = endpoint.parse().map_err(|error| bad(format!("{error}")))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some() => Ok(Endpoint::from(uri)),
        _ => Err(bad("it does not start with http:// or https://".into())),
    }
}

fn authority(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    format!("{host}:{}", uri.port_u16().unwrap_or(default))
}

/// Converts the status of a refused request.
pub(crate) fn remote(status: &Status) -> EdgeError {
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
            let error = parse(endpoint).unwrap_err().to_string();
            assert!(error.contains(expected), "{endpoint}: {error}");
        }
        for (endpoint, expected) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://x", "x:80"),
            ("https://x", "x:443"),
            ("https://x:8443", "x:8443"),
        ] {
            assert_eq!(authority(parse(endpoint).unwrap().uri()), expected);
        }
    }

    #[test]
    fn certificates_for_a_connection_without_tls_are_a_mistake() {
        let security = Security { ca: Some("ca.pem".into()), ..Security::default() };
        let error = secured("http://x", &security).unwrap_err().to_string();
        assert!(error.contains("https://") && error.contains("--ca"), "{error}");
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_the_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (url, security) = (format!("http://{free}"), Security::default());
        let error = Client::connect(&url, Duration::from_secs(5), &security).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&free.to_string()) && text.contains("refused"), "{text}");
    }
}
