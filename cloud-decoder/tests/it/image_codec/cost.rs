//! The computation of requests, as their frames declare it, against the limit of an API key.

use std::fs;

use axum::http::{Request, StatusCode, request, response};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloud_decoder::auth::{Scope, generate_key};
use lopside_proto::v1::{OutputFormat, decoder_service_client::DecoderServiceClient};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::service::{self, Cloud, send};

/// Multiply-accumulates of an image of 13x10 pixels with the head `plain`: it is padded to 16x12 pixels.
const MACS: f64 = 16.0 * 12.0 * 1.5;

/// A server whose only key may spend 1.5 times [`MACS`] per minute.
struct LimitedCloud {
    cloud: Cloud,
    key: String,
    frame: Vec<u8>,
    large_frame: Vec<u8>,
    _keys: TempDir,
}

impl LimitedCloud {
    async fn start() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let path = keys.path().join("keys.toml");
        let key = generate_key("limited", &[Scope::Infer]).unwrap();
        let limited_key = format!("{}gmacs_per_minute = {:e}\n", key.toml, 1.5 * MACS / 1e9);
        fs::write(&path, limited_key).unwrap();
        let cloud = Cloud::start_with(|args| args.api_keys = Some(path)).await;
        let [frame, large_frame] = [[13, 10], [30, 30]].map(|size| cloud.frame(size, false).1);
        Self { cloud, key: key.key, frame, large_frame, _keys: keys }
    }

    async fn send(&self, request: request::Builder, body: &[u8]) -> (response::Parts, Vec<u8>) {
        send(self.cloud.url(), request.header("x-api-key", &self.key), body.to_vec()).await
    }

    /// Decodes a frame over REST.
    async fn decode(&self, query: &str, frame: &[u8]) -> response::Parts {
        let (parts, body) = self.send(Request::post(format!("/v1/bundles/photo/decode{query}")), frame).await;
        if !parts.status.is_success() {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert!(body["error"].as_str().unwrap().contains("API key"), "{body}");
        }
        parts
    }

    /// Decodes a frame over gRPC, and returns the refusal.
    async fn grpc_refusal(&self, frame: &[u8]) -> Status {
        let mut client = DecoderServiceClient::connect(self.cloud.url().to_owned()).await.unwrap();
        let mut request =
            tonic::Request::new(service::request(&[frame], "", &[("plain", OutputFormat::Png)]));
        request.metadata_mut().insert("x-api-key", self.key.parse().unwrap());
        client.decode(request).await.unwrap_err()
    }

    /// Returns how often the head `plain` has run.
    async fn runs(&self) -> Value {
        let (_, body) = self.send(Request::get("/v2/models/photo.plain/stats"), b"").await;
        let stats: Value = serde_json::from_slice(&body).unwrap();
        stats["model_stats"][0]["execution_count"].clone()
    }
}

#[tokio::test]
async fn a_key_that_has_spent_its_computation_is_told_when_to_retry() {
    let cloud = LimitedCloud::start().await;
    assert_eq!(cloud.decode("", &cloud.frame).await.status, StatusCode::OK);
    let runs = cloud.runs().await;
    assert_eq!(runs, json!(1));

    let refused = cloud.decode("", &cloud.frame).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "half of the cost is missing, which is a third of a minute: {wait}");
    let status = cloud.grpc_refusal(&cloud.frame).await;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let delay = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((1.0..=20.0).contains(&delay.as_secs_f64()), "{delay:?}");
    let input = json!({
        "name": "frame", "datatype": "BYTES", "shape": [1, 1], "parameters": {"content_type": "base64"},
        "data": [BASE64_STANDARD.encode(&cloud.frame)],
    });
    let body = json!({ "inputs": [input] }).to_string();
    let (parts, _) = cloud.send(Request::post("/v2/models/photo.plain.frame/infer"), body.as_bytes()).await;
    assert_eq!(parts.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(cloud.runs().await, runs, "a refused request is not decoded");
}

#[tokio::test]
async fn a_request_that_alone_exceeds_the_limit_is_not_to_be_retried() {
    let cloud = LimitedCloud::start().await;
    let refused = cloud.decode("", &cloud.large_frame).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!refused.headers.contains_key("retry-after"));
    // Each requested head costs.
    assert_eq!(cloud.decode("?heads=plain,double", &cloud.frame).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let status = cloud.grpc_refusal(&cloud.large_frame).await;
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(status.message().contains("GMAC") && status.get_details_retry_info().is_none(), "{status}");
    // Refused requests have spent nothing.
    assert_eq!(cloud.decode("", &cloud.frame).await.status, StatusCode::OK);
}
