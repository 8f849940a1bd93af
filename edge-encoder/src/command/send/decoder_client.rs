//! Client of `lopside.v1.DecoderService`.

use std::time::{Duration, Instant};

use lopside_proto::v1::{
    self, DecodeRequest, OutputFormat, OutputRequest, decoder_service_client::DecoderServiceClient,
    output::Value,
};
use lopside_telemetry::context;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tracing::Instrument as _;

use super::error::SendError;
use crate::{
    EdgeError, SecuritySettings,
    connection::{CloudTarget, WireCounters, remote_error},
};

/// The largest response that is accepted, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// A connection to one cloud-decoder.
#[derive(Debug)]
pub(super) struct DecoderClient {
    service: DecoderServiceClient<Channel>,
    counters: WireCounters,
    timeout: Duration,
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
    /// [`ConnectionError`](crate::ConnectionError) for an invalid address, or if the server does not answer or
    /// the TLS handshake fails, and errors about the files of `security`.
    pub(super) async fn connect(
        endpoint: &str,
        timeout: Duration,
        security: &SecuritySettings,
    ) -> Result<Self, EdgeError> {
        let target = CloudTarget::new(endpoint, security)?;
        target.warn_about_exposed_key();
        let counters = WireCounters::default();
        let channel = target.connect(&counters, Some(timeout)).await?;
        let service = DecoderServiceClient::new(channel).max_decoding_message_size(MAX_RESPONSE_BYTES);
        Ok(Self { service, counters, timeout, bearer: target.bearer() })
    }

    /// Requests the decoding of one frame by these heads of its bundle, or by the first head if `heads` is
    /// empty. `input` is the reference input, which is sent along if there is one.
    ///
    /// # Errors
    /// [`ConnectionError::Remote`](crate::ConnectionError::Remote) with the cloud's reason, [`SendError::UnexpectedAnswer`] if the response does not match the
    /// request.
    pub(super) async fn decode(
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
        let sent_before = self.counters.sent_bytes();
        let start = Instant::now();
        let response = self
            .service
            .decode(request)
            .instrument(span)
            .await
            .map_err(|status| remote_error(&status))?
            .into_inner();
        let round_trip = start.elapsed();
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
