//! What gRPC clients see of requests that are not calls, or cannot be decoded, and how they discover the services.

use axum::{
    body::Body,
    http::{HeaderMap, Request, Response},
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tempfile::TempDir;
use tokio_stream::StreamExt as _;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use super::{
    bundles::{self, head},
    support::Cloud,
};

const DECODE: &str = "/lopside.v1.DecoderService/Decode";
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

async fn cloud() -> (Cloud, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(&folder.path().join("a"), "a", "e", &[head("times", 1)]);
    (Cloud::start(folder.path()).await, folder)
}

/// Sends a body over HTTP/2.
async fn call(cloud: &Cloud, method: &str, content_type: &str, body: &[u8]) -> Response<Incoming> {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Body>();
    let request = Request::post(format!("{}{method}", cloud.url)).header("content-type", content_type);
    client.request(request.header("te", "trailers").body(Body::from(body.to_vec())).unwrap()).await.unwrap()
}

/// Returns the status of a call, which is in the head of the response or in its trailers.
async fn grpc_status(response: Response<Incoming>) -> Status {
    let (head, body) = response.into_parts();
    let trailers: HeaderMap = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
    Status::from_header_map(&head.headers).or(Status::from_header_map(&trailers)).unwrap()
}

/// Returns a message with its length before it.
fn message(bytes: &[u8]) -> Vec<u8> {
    [&[0_u8][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

#[tokio::test]
async fn a_request_that_cannot_be_decoded_is_an_error_of_the_client() {
    let (cloud, _folder) = cloud().await;
    let not_protobuf = message(&[0xff; 12]);
    let cut_off = message(b"a message")[..8].to_vec();
    let unknown_flag = [&[7_u8][..], &message(b"")[1..]].concat();
    for method in [DECODE, INFER, STREAM, HEALTH] {
        for body in [&not_protobuf, &cut_off, &unknown_flag] {
            let response = call(&cloud, method, "application/grpc", body).await;
            assert_eq!(response.status(), 200);
            let status = grpc_status(response).await;
            assert_eq!(status.code(), Code::InvalidArgument, "{method} {body:?}: {status}");
            assert!(!status.message().is_empty(), "{method} {body:?}");
        }
    }
    for method in [DECODE, INFER, HEALTH] {
        let status = grpc_status(call(&cloud, method, "application/grpc", b"").await).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{method} without a message: {status}");
    }
    // The same for a message that says that it is compressed, and is not.
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Body>();
    let request = Request::post(format!("{}{INFER}", cloud.url)).header("content-type", "application/grpc");
    let body = [&[1_u8][..], &message(b"not gzip")[1..]].concat();
    let request = request.header("grpc-encoding", "gzip").body(Body::from(body)).unwrap();
    let status = grpc_status(client.request(request).await.unwrap()).await;
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[tokio::test]
async fn other_errors_keep_their_codes() {
    let (cloud, _folder) = cloud().await;
    for (method, body, code) in [
        (HEALTH, message(b""), Code::Ok),
        (STREAM, Vec::new(), Code::Ok),
        (DECODE, message(b""), Code::InvalidArgument),
        (INFER, message(b"\x0a\x01b"), Code::NotFound),
        ("/lopside.v1.DecoderService/Nothing", message(b""), Code::Unimplemented),
    ] {
        let status = grpc_status(call(&cloud, method, "application/grpc+proto", &body).await).await;
        assert_eq!(status.code(), code, "{method}: {status}");
    }
}

#[tokio::test]
async fn only_grpc_over_http2_reaches_a_grpc_method() {
    let (cloud, _folder) = cloud().await;
    for content_type in ["application/json", "application/grpc-web", "text/plain"] {
        let response = call(&cloud, DECODE, content_type, b"{}").await;
        assert_eq!(response.status(), 415, "{content_type}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(body["error"].as_str().unwrap().contains("application/grpc"), "{body}");
    }
    for (content_type, status) in [("application/json", 415), ("application/grpc", 505)] {
        let request = Request::post(DECODE).header("content-type", content_type);
        let response = cloud.send(request.body(Body::from(message(b""))).unwrap()).await;
        assert_eq!(response.status, status, "{content_type}");
        assert!(response.error().contains("gRPC"), "{}", response.error());
    }
    // REST shares the port and the connection.
    assert_eq!(cloud.get("/v1/bundles").await.status, 200);
}

/// Returns the names of the services that one version of the reflection service lists.
macro_rules! listed_services {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let list = MessageRequest::ListServices(String::new());
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
        let mut client = ServerReflectionClient::new($channel);
        let responses = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap();
        let response = responses.into_inner().next().await.unwrap().unwrap();
        match response.message_response {
            Some(MessageResponse::ListServicesResponse(list)) => {
                list.service.into_iter().map(|service| service.name).collect::<Vec<String>>()
            }
            other => panic!("{other:?}"),
        }
    }};
}

#[tokio::test]
async fn both_versions_of_reflection_list_the_services() {
    let (cloud, _folder) = cloud().await;
    let channel: Channel = Endpoint::from_shared(cloud.url.clone()).unwrap().connect().await.unwrap();
    for services in [listed_services!(v1, channel.clone()), listed_services!(v1alpha, channel.clone())] {
        for name in [
            "lopside.v1.DecoderService",
            "lopside.v1.IngestService",
            "lopside.v1.BundleService",
            "inference.GRPCInferenceService",
            "grpc.health.v1.Health",
        ] {
            assert!(services.iter().any(|service| service == name), "{name}: {services:?}");
        }
    }
}
