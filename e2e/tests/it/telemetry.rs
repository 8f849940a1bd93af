//! Spans and metrics reach an OpenTelemetry collector, and one trace covers both edge and cloud.

use std::collections::BTreeSet;

use axum::http::{Method, request};
use lopside_e2e::{
    CloudDecoder, binary_command,
    collector::{Collector, attribute_text},
    in_clone, run_stdout, sample_frame,
};
use lopside_proto::{
    inference::{
        ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient,
        model_infer_request::InferInputTensor,
    },
    v1::{DecodeRequest, decoder_service_client::DecoderServiceClient},
};
use opentelemetry_proto::tonic::{metrics::v1::metric::Data, trace::v1::Span};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

async fn stop(mut cloud: CloudDecoder) {
    let (status, log) = tokio::task::spawn_blocking(move || cloud.stop()).await.unwrap();
    assert!(status.success(), "{log}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the only span with this name.
fn only_span<'a>(spans: &'a [(String, Span)], name: &str) -> &'a Span {
    let named: Vec<&Span> = spans.iter().map(|(_, span)| span).filter(|span| span.name == name).collect();
    let [span] = named[..] else {
        panic!(
            "{} spans {name:?}: {:?}",
            named.len(),
            spans.iter().map(|(_, span)| &span.name).collect::<Vec<_>>()
        )
    };
    span
}

#[tokio::test]
async fn a_request_over_any_protocol_is_one_trace_down_to_the_engine() {
    let mut collector = Collector::start().await;
    let frame = sample_frame();
    for protocol in ["grpc", "rest", "inference"] {
        let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str())];
        let cloud = CloudDecoder::start_with_env(&[&in_clone("bundles/fashion")], &environment);
        let parent = || traceparent().parse().unwrap();
        let (name, work_name) = match protocol {
            "grpc" => {
                let message =
                    DecodeRequest { frames: vec![frame.clone().into()], ..DecodeRequest::default() };
                let mut request = tonic::Request::new(message);
                request.metadata_mut().insert("traceparent", parent());
                DecoderServiceClient::connect(cloud.url.clone())
                    .await
                    .unwrap()
                    .decode(request)
                    .await
                    .unwrap();
                ("lopside.v1.DecoderService/Decode", "decode")
            }
            "rest" => {
                let request = request::Builder::new().method(Method::POST).uri("/v1/bundles/fashion/decode");
                let request = request.header("traceparent", traceparent());
                let (response, _) = cloud.send_http(request, frame.clone()).await;
                assert_eq!(response.status(), 200);
                ("POST /v1/bundles/{name}/decode", "decode")
            }
            _ => {
                let input = InferInputTensor {
                    name: "frame".into(),
                    datatype: "BYTES".into(),
                    shape: vec![1],
                    ..InferInputTensor::default()
                };
                let raw = [&(frame.len() as u32).to_le_bytes()[..], &frame].concat();
                let mut request = tonic::Request::new(ModelInferRequest {
                    model_name: "fashion".into(),
                    inputs: vec![input],
                    raw_input_contents: vec![raw.into()],
                    ..ModelInferRequest::default()
                });
                request.metadata_mut().insert("traceparent", parent());
                let mut client = GrpcInferenceServiceClient::connect(cloud.url.clone()).await.unwrap();
                client.model_infer(request).await.unwrap();
                ("inference.GRPCInferenceService/ModelInfer", "infer")
            }
        };
        stop(cloud).await;
        let spans = collector.take_spans();
        assert!(spans.iter().all(|(service, _)| service == "cloud-decoder"));
        let request = only_span(&spans, name);
        assert_eq!((hex(&request.trace_id), hex(&request.parent_span_id)), (TRACE.into(), PARENT.into()));
        let work_span = only_span(&spans, work_name);
        assert_eq!(work_span.parent_span_id, request.span_id, "{protocol}");
        for part in ["queue", "engine"] {
            let part = only_span(&spans, part);
            assert_eq!(part.parent_span_id, work_span.span_id, "{protocol}");
            assert_eq!(hex(&part.trace_id), TRACE, "{protocol}");
        }
    }
}

#[tokio::test]
async fn edge_and_cloud_are_one_trace() {
    let mut collector = Collector::start().await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str())];
    let cloud = CloudDecoder::start_with_env(&[&in_clone("bundles/fashion")], &environment);
    let folder = tempfile::tempdir().unwrap();
    let mut send = binary_command("edge-encoder");
    send.arg("send").arg("--bundle").arg(in_clone("bundles/fashion")).args(["--endpoint", &cloud.url]);
    send.arg("--out").arg(folder.path()).arg(in_clone("samples/fashion/00-ankle-boot.png"));
    send.envs(environment).env("TRACEPARENT", traceparent());
    let _ = tokio::task::spawn_blocking(move || run_stdout(&mut send)).await.unwrap();
    stop(cloud).await;
    let spans = collector.take_spans();
    let (send_span, decode_span) =
        (only_span(&spans, "send"), only_span(&spans, "lopside.v1.DecoderService/Decode"));
    assert_eq!(decode_span.parent_span_id, send_span.span_id);
    assert_eq!(hex(&send_span.parent_span_id), PARENT);
    assert!(["send", "decode", "queue", "engine"].iter().all(|name| {
        spans.iter().filter(|(_, span)| &span.name == name).all(|(_, span)| hex(&span.trace_id) == TRACE)
    }));
    let services: BTreeSet<&str> = spans.iter().map(|(service, _)| service.as_str()).collect();
    assert_eq!(services, BTreeSet::from(["cloud-decoder", "edge-encoder"]));
}

#[tokio::test]
async fn metrics_reach_the_collector() {
    let mut collector = Collector::start().await;
    let frame = sample_frame();
    let environment = [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", collector.endpoint.as_str())];
    let cloud = CloudDecoder::start_with_env(&[&in_clone("bundles/fashion")], &environment);
    let request = DecodeRequest { frames: vec![frame.into()], ..DecodeRequest::default() };
    DecoderServiceClient::connect(cloud.url.clone()).await.unwrap().decode(request).await.unwrap();
    // The server sends the remaining data when it stops.
    stop(cloud).await;
    let metrics = collector.take_metrics();
    let metric_data =
        |name: &str| metrics.iter().rev().find(|metric| metric.name == name).unwrap().data.clone();
    let Some(Data::Sum(requests)) = metric_data("lopside.requests") else {
        panic!("the metric is not a sum")
    };
    let is_success = |point: &&opentelemetry_proto::tonic::metrics::v1::NumberDataPoint| {
        attribute_text(&point.attributes, "result").as_deref() == Some("success")
            && attribute_text(&point.attributes, "head").as_deref() == Some("reconstruct")
    };
    let point = requests.data_points.iter().find(is_success).unwrap();
    assert_eq!(format!("{:?}", point.value), "Some(AsInt(1))");
    let Some(Data::Histogram(calls)) = metric_data("rpc.server.call.duration") else {
        panic!("the metric is not a histogram")
    };
    let is_decode = |attributes| {
        attribute_text(attributes, "rpc.method").as_deref() == Some("lopside.v1.DecoderService/Decode")
    };
    let point = calls.data_points.iter().find(|point| is_decode(&point.attributes)).unwrap();
    assert_eq!(point.count, 1);
    assert!(collector.take_spans().is_empty(), "no collector of spans is configured");
}
