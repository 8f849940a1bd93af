//! Damaged requests to every interface, made from valid ones.

use axum::{body::Body, http::Request};
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use lopside_e2e::{CloudDecoder, in_clone, sample_frame};
use lopside_proto::{inference::ModelInferRequest, v1::DecodeRequest};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::load::{Load, request};

/// Number of damaged requests of each kind.
const CASES: usize = 400;

/// Damages bytes: flips bits, truncates, duplicates and inserts bytes, and inserts large lengths.
fn damage(valid: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for _ in 0..rng.random_range(1..6) {
        let index = rng.random_range(0..=bytes.len());
        match rng.random_range(0..5) {
            0 => bytes.truncate(index),
            1 => bytes.insert(index, rng.random()),
            2 => {
                let copy = bytes[..index].to_vec();
                bytes.extend(copy);
            }
            3 => bytes.splice(index..index, [0xff; 9]).for_each(drop),
            _ => {
                if let Some(byte) = bytes.get_mut(index) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
        }
    }
    bytes
}

/// Returns a message with the prefix of gRPC.
fn grpc(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn requests(frame: &[u8]) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let decode = DecodeRequest { frames: vec![frame.to_vec().into()], ..DecodeRequest::default() };
    let tensor = [&(frame.len() as u32).to_le_bytes(), frame].concat();
    let mut frame_request: ModelInferRequest = request();
    frame_request.inputs[0].name = "frame".into();
    frame_request.inputs[0].datatype = "BYTES".into();
    frame_request.inputs[0].shape = vec![1, 1];
    frame_request.raw_input_contents = vec![tensor.into()];
    let json = r#"{"id":"1","parameters":{"timeout":1000},"inputs":[{"name":"latent","datatype":"FP32",
        "shape":[1,2],"data":[[1.5,-2e3]]}],"outputs":[{"name":"reconstruction"}]}"#;
    vec![
        ("/v1/bundles/fashion/decode", "application/octet-stream", frame.to_vec()),
        ("/v2/models/fashion.reconstruct/infer", "application/json", json.into()),
        ("/v2/repository/index", "application/json", br#"{"ready":true}"#.to_vec()),
        ("/lopside.v1.DecoderService/Decode", "application/grpc", grpc(&decode.encode_to_vec())),
        ("/inference.GRPCInferenceService/ModelInfer", "application/grpc", grpc(&request().encode_to_vec())),
        (
            "/inference.GRPCInferenceService/ModelInfer",
            "application/grpc",
            grpc(&frame_request.encode_to_vec()),
        ),
        (
            "/inference.GRPCInferenceService/ModelStreamInfer",
            "application/grpc",
            grpc(&frame_request.encode_to_vec()),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_requests_are_refused_without_effect_on_other_clients() {
    let mut cloud = CloudDecoder::start(&[&in_clone("bundles/fashion")]);
    let healthy = Load::start(&cloud.url, 2, |_| false);
    let mut rng = StdRng::seed_from_u64(5);
    let http1 = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let http2 = Client::builder(TokioExecutor::new()).timer(TokioTimer::new()).http2_only(true).build_http();
    let mut refused = 0;
    for (path, content_type, valid) in requests(&sample_frame()) {
        for _ in 0..CASES {
            let client = if content_type == "application/grpc" { &http2 } else { &http1 };
            let request = Request::post(format!("{}{path}", cloud.url)).header("content-type", content_type);
            let body = damage(&valid, &mut rng);
            let response = client.request(request.body(Body::from(body.clone())).unwrap()).await.unwrap();
            assert!(response.status().as_u16() < 500, "{path} {}: {body:02x?}", response.status());
            let mut code = response.headers().get("grpc-status").cloned();
            let status = response.status();
            let collected = response.into_body().collect().await;
            if let Some(trailer_code) =
                collected.ok().and_then(|collected| collected.trailers()?.get("grpc-status").cloned())
            {
                code = Some(trailer_code);
            }
            // 2 is UNKNOWN. 13, INTERNAL, is allowed: tonic returns it for a truncated message.
            assert!(code.as_ref().is_none_or(|code| code != "2"), "{path}: {body:02x?}");
            refused += usize::from(status.as_u16() >= 400 || code.is_some_and(|code| code != "0"));
        }
    }
    assert!(refused > 5 * CASES, "{refused}");
    healthy.wait(50).await;
    assert!(!healthy.stop().await.is_empty());
    let (status, log) = cloud.stop();
    assert!(status.success() && !log.contains("panicked"), "{log}");
}
