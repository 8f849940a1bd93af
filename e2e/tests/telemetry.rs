//! Spans reach an OpenTelemetry collector.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

use std::fs;

use lopside_e2e::{Cloud, binary, in_clone, stdout};
use lopside_proto::v1::{DecodeRequest, decoder_service_client::DecoderServiceClient};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

struct Collector(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn a_request_is_one_trace_down_to_the_engine() {
    let (sender, mut received) = mpsc::channel(64);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(collector.serve_with_incoming(TcpListenerStream::new(listener)));

    let frames = tempfile::tempdir().unwrap();
    let mut encode = binary("edge-encoder");
    encode.arg("encode").arg("--bundle").arg(in_clone("bundles/fashion")).arg("--out").arg(frames.path());
    let _ = stdout(encode.arg(in_clone("samples/fashion/00-ankle-boot.png")));
    let frame = fs::read(frames.path().join("00-ankle-boot.lps")).unwrap();

    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut cloud = Cloud::start_in(&[&in_clone("bundles/fashion")], &environment);
    let request = DecodeRequest { frames: vec![frame.into()], ..DecodeRequest::default() };
    DecoderServiceClient::connect(cloud.url.clone()).await.unwrap().decode(request).await.unwrap();
    let (status, log) = tokio::task::spawn_blocking(move || cloud.stop()).await.unwrap();
    assert!(status.success(), "{log}");

    received.close();
    let mut spans = Vec::new();
    while let Some(request) = received.recv().await {
        for resource in request.resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let service = attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
            let value = service.value.clone().unwrap().value;
            assert_eq!(value, Some(Value::StringValue("cloud-decoder".into())));
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    let named =
        |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"));
    let (decode, engine) = (named("decode"), named("engine"));
    assert_eq!(engine.parent_span_id, decode.span_id);
    assert_eq!(engine.trace_id, decode.trace_id);
}
