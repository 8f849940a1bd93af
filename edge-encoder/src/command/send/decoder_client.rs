//! Client of `lopside.v1.DecoderService`.

use std::time::{Duration, Instant};

use lopside_latent::LatentSpaceId;
use lopside_proto::v1::{
    self, DecodeRequest, GetBundleRequest, OutputFormat, OutputRequest,
    decoder_service_client::DecoderServiceClient, output::Value,
};
use lopside_telemetry::context;
use tokio::time::timeout;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tracing::Instrument as _;

use super::{
    error::SendError,
    request_limits::{ImageSize, RequestLimits, ServerFigures},
};
use crate::{
    ConnectionError, EdgeError, SecuritySettings,
    connection::{CloudTarget, WireCounters, remote_error},
};

/// A connection to one cloud-decoder.
#[derive(Debug)]
pub(super) struct DecoderClient {
    service: DecoderServiceClient<Channel>,
    counters: WireCounters,
    bearer: Option<MetadataValue<Ascii>>,
}

/// A frame decoded by the cloud.
#[derive(Debug, Clone)]
pub(super) struct DecodedFrame {
    /// One output per requested head, in that order; without requested heads, the output of the first head.
    pub(super) outputs: Vec<Value>,
    /// Time between the request and the complete response.
    pub(super) round_trip: Duration,
    /// Bytes that this request sent over TCP, including gRPC, HTTP/2 and TLS.
    pub(super) sent_bytes: u64,
}

impl DecoderClient {
    /// Connects to a cloud-decoder at an `http://` or `https://` address.
    ///
    /// # Errors
    /// [`ConnectionError`] for an invalid address, or if the server does not answer in time or the TLS handshake
    /// fails, and errors about the files of `security`.
    pub(super) async fn connect(
        endpoint: &str,
        time_limit: Duration,
        security: &SecuritySettings,
    ) -> Result<Self, EdgeError> {
        let target = CloudTarget::new(endpoint, security)?;
        target.warn_about_exposed_key();
        let counters = WireCounters::default();
        // Each request has a time limit of its own, so the channel does not have one.
        let connecting = timeout(time_limit, target.connect(&counters, None)).await;
        let channel = connecting.map_err(|_| ConnectionError::Connect {
            endpoint: endpoint.to_owned(),
            reason: format!("no answer within {} s (--timeout-seconds)", time_limit.as_secs()),
        })??;
        Ok(Self { service: DecoderServiceClient::new(channel), counters, bearer: target.bearer() })
    }

    /// Returns the figures that the server states about a bundle and one of its heads, by default the first; none if it
    /// does not have the bundle under this name, or does not answer: the requests to decode say why.
    pub(super) async fn server_figures(
        &mut self,
        bundle: &str,
        space: LatentSpaceId,
        head: Option<&str>,
        time_limit: Duration,
    ) -> ServerFigures {
        let request = self.request(GetBundleRequest { name: bundle.to_owned() }, time_limit);
        let Ok(response) = self.service.get_bundle(request).await else { return ServerFigures::default() };
        let bundle = response.into_inner().bundle.filter(|found| found.latent_space == space.to_string());
        let Some(bundle) = bundle else { return ServerFigures::default() };
        let mut heads = bundle.heads.iter();
        let head = heads.find(|found| head.is_none_or(|name| found.name == name));
        ServerFigures {
            max_pixels: bundle.max_pixels,
            seconds_per_megapixel: head.map_or(0.0, |head| head.seconds_per_megapixel),
        }
    }

    /// Returns a request with the time limit and the API key.
    fn request<T>(&self, message: T, time_limit: Duration) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(time_limit);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }

    /// Requests the decoding of one frame by these heads of its bundle, or by the first head if `heads` is
    /// empty. `reference` is the reference input, which is sent along if there is one.
    ///
    /// # Errors
    /// [`ConnectionError::Remote`] with the cloud's reason, [`SendError::TimedOut`], and
    /// [`SendError::UnexpectedAnswer`] if the response does not match the request.
    pub(super) async fn decode(
        &mut self,
        frame: Vec<u8>,
        heads: &[String],
        reference: Option<v1::Input>,
        size: Option<ImageSize>,
        time_limit: Duration,
    ) -> Result<DecodedFrame, EdgeError> {
        let mut request = self.request(decode_request(frame, heads, reference), time_limit);
        let span = tracing::info_span!("send", otel.kind = "client");
        context::set_parent_from_environment(&span);
        if let Some(parent) = context::outgoing(&span).and_then(|parent| parent.parse().ok()) {
            request.metadata_mut().insert(context::TRACEPARENT, parent);
        }
        let max_bytes = RequestLimits::max_response_bytes(size);
        let mut service = self.service.clone().max_decoding_message_size(max_bytes);
        let sent_before = self.counters.sent_bytes();
        let start = Instant::now();
        let response = service.decode(request).instrument(span).await;
        let round_trip = start.elapsed();
        let response =
            response.map_err(|status| decode_error(&status, size, time_limit, round_trip))?.into_inner();
        let sent_after = self.counters.sent_bytes();
        let outputs = response.frames.into_iter().flat_map(|frame| frame.outputs);
        let outputs: Vec<Value> = outputs.filter_map(|output| output.value).collect();
        let expected = heads.len().max(1);
        if outputs.len() != expected {
            return Err(SendError::UnexpectedAnswer(format!(
                "it has {} outputs instead of {expected}",
                outputs.len()
            ))
            .into());
        }
        Ok(DecodedFrame { outputs, round_trip, sent_bytes: sent_after - sent_before })
    }
}

fn decode_request(frame: Vec<u8>, heads: &[String], reference: Option<v1::Input>) -> DecodeRequest {
    let output = |head: &String| OutputRequest {
        head: head.clone(),
        format: OutputFormat::Unspecified.into(),
        version: 0,
    };
    DecodeRequest {
        frames: vec![frame.into()],
        bundle: String::new(),
        outputs: heads.iter().map(output).collect(),
        inputs: reference.into_iter().collect(),
    }
}

/// Returns the error of a request that was refused or took too long. The client's own time limit cancels the request.
fn decode_error(
    status: &Status,
    size: Option<ImageSize>,
    time_limit: Duration,
    elapsed: Duration,
) -> EdgeError {
    let answer = match status.code() {
        Code::Cancelled if elapsed >= time_limit => "no answer",
        Code::DeadlineExceeded => status.message(),
        _ => return remote_error(status),
    };
    let input = size.map_or_else(|| "the input".into(), |(width, height)| format!("{width}×{height} pixels"));
    SendError::TimedOut { input, seconds: time_limit.as_secs_f64(), answer: answer.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_came_too_late_names_the_option() {
        let limit = Duration::from_secs(10);
        let error = |status: Status, elapsed| {
            decode_error(&status, Some((4000, 3150)), limit, Duration::from_secs(elapsed)).to_string()
        };
        for text in [
            error(Status::cancelled("Timeout expired"), 10),
            error(Status::deadline_exceeded("the work ahead takes too long"), 0),
        ] {
            let parts =
                ["4000×3150 pixels", "within the time limit of 10 s", "--timeout-seconds", "timeout_seconds"];
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
        assert!(error(Status::deadline_exceeded("too long"), 0).contains("(too long)"));
        assert!(error(Status::cancelled("by the server"), 1).contains("answered Cancelled: by the server"));
    }
}
