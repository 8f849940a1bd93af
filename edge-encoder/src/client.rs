//! The edge's side of `lopside.v1.DecoderService`.

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
    transport::{Channel, Endpoint, Uri},
};
use tracing::Instrument as _;

use crate::{
    EdgeError,
    wire::{Counted, Counters},
};

/// The largest answer that is taken, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A connection to one cloud-decoder.
#[derive(Debug)]
pub struct Client {
    service: DecoderServiceClient<Channel>,
    counters: Counters,
    timeout: Duration,
}

/// A frame decoded by the cloud.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// One output a head asked for, in that order; of none, the first head's.
    pub outputs: Vec<Value>,
    /// From the request to the whole answer.
    pub round_trip: Duration,
    /// Bytes this request sent over TCP, gRPC and HTTP/2 included.
    pub sent_bytes: u64,
    /// Bytes of the answer over TCP.
    pub received_bytes: u64,
}

impl Client {
    /// Connects to a cloud-decoder at an `http://` address.
    ///
    /// # Errors
    /// [`EdgeError::Endpoint`] for an address that cannot be right, [`EdgeError::Connect`] when nobody answers.
    pub async fn connect(endpoint: &str, timeout: Duration) -> Result<Self, EdgeError> {
        let target = parse(endpoint)?.connect_timeout(timeout).timeout(timeout);
        let counters = Counters::default();
        let counted = counters.clone();
        let connector = tower::service_fn(move |uri: Uri| {
            let counters = counted.clone();
            async move {
                let stream = TcpStream::connect(authority(&uri)).await?;
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(Counted::new(stream, counters)))
            }
        });
        let channel = target.connect_with_connector(connector).await.map_err(|error| EdgeError::Connect {
            endpoint: endpoint.to_owned(),
            reason: innermost(&error),
        })?;
        let service = DecoderServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { service, counters, timeout })
    }

    /// Has one frame decoded by these heads of its bundle, by the first when there are none. What the frame was made
    /// of goes along where it is given.
    ///
    /// # Errors
    /// [`EdgeError::Remote`] with the cloud's reason, [`EdgeError::Answer`] when it is not what was asked for.
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
            return Err(EdgeError::Answer(format!("{} outputs instead of {expected}", outputs.len())));
        }
        Ok(Decoded {
            outputs,
            round_trip,
            sent_bytes: sent_after - sent,
            received_bytes: received_after - received,
        })
    }
}

fn parse(endpoint: &str) -> Result<Endpoint, EdgeError> {
    let bad = |reason: String| EdgeError::Endpoint { endpoint: endpoint.to_owned(), reason };
    let uri: Uri = endpoint.parse().map_err(|error| bad(format!("{error}")))?;
    match uri.scheme_str() {
        Some("http") if uri.host().is_some() => Ok(Endpoint::from(uri)),
        Some("https") => Err(bad("TLS is not built in: put a proxy that speaks TLS in between".into())),
        _ => Err(bad("it does not start with http://".into())),
    }
}

fn authority(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    format!("{host}:{}", uri.port_u16().unwrap_or(80))
}

fn remote(status: &Status) -> EdgeError {
    EdgeError::Remote { code: format!("{:?}", status.code()), message: status.message().to_owned() }
}

/// The cause at the bottom: tonic's own message is only "transport error".
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
        for (endpoint, expected) in [
            ("localhost:8080", "http://"),
            ("https://x:1", "TLS"),
            ("http://", "empty"),
            ("ftp://x", "http://"),
        ] {
            let error = parse(endpoint).unwrap_err().to_string();
            assert!(error.contains(expected), "{endpoint}: {error}");
        }
        assert!(parse("http://127.0.0.1:8080").is_ok());
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_the_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Client::connect(&format!("http://{free}"), Duration::from_secs(5)).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&free.to_string()) && text.contains("refused"), "{text}");
    }
}
