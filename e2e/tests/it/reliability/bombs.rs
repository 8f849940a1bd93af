//! Small requests that would expand to much data.

use std::io::Write as _;

use axum::http::Request;
use flate2::{Compression, write::GzEncoder};
use lopside_e2e::{CloudDecoder, in_clone};
use lopside_proto::{
    inference::{ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient},
    v1::{DecodeRequest, Input, decoder_service_client::DecoderServiceClient, input::Value},
};
use tonic::{Code, codec::CompressionEncoding};

use super::load::{Load, request};

/// Size of a bomb after decompression, in bytes.
const UNPACKED_BYTES: usize = 256 << 20;
/// The server's memory for the bodies of requests, in megabytes: half of what a bomb expands to.
const REQUEST_MEMORY_MEGABYTES: &str = "128";
/// Maximum growth of the server's peak memory in bytes: the memory for the bodies of requests.
const MAX_GROWTH_BYTES: u64 = 128_000_000;

fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b' '; 1 << 20];
    (0..UNPACKED_BYTES >> 20).for_each(|_| encoder.write_all(&zeros).unwrap());
    encoder.finish().unwrap()
}

/// Returns a PNG file whose header declares 50,000 × 50,000 pixels.
fn huge_png() -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = b"IHDR".to_vec();
    header.extend([50_000_u32.to_be_bytes(), 50_000_u32.to_be_bytes()].concat());
    header.extend([8, 2, 0, 0, 0]);
    file.extend(13_u32.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    file.extend(&header);
    file.extend(crc.sum().to_be_bytes());
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn decompression_bombs_are_refused_and_memory_stays_bounded() {
    let limit = ("LOPSIDE_MAX_REQUEST_MEMORY", REQUEST_MEMORY_MEGABYTES);
    let cloud = CloudDecoder::start_with_env(&[&in_clone("bundles")], &[limit]);
    let warm_up = Load::start(&cloud.url, 2, |_| false);
    warm_up.wait(100).await;
    let _ = warm_up.stop().await;
    let before = cloud.peak_bytes();

    let bomb = bomb();
    assert!(bomb.len() < 1 << 20);
    for path in ["/v2/models/fashion.reconstruct/infer", "/v2/models/photo/infer"] {
        let request = Request::post(path).header("content-encoding", "gzip");
        let (response, _) = cloud.send_http(request, bomb.clone()).await;
        assert_eq!(response.status(), 413, "{path}");
    }
    let client = GrpcInferenceServiceClient::connect(cloud.url.clone()).await.unwrap();
    let mut client = client.send_compressed(CompressionEncoding::Gzip).max_encoding_message_size(usize::MAX);
    let message = ModelInferRequest { raw_input_contents: vec![vec![0; UNPACKED_BYTES].into()], ..request() };
    let status = client.model_infer(message).await.unwrap_err();
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status}");

    let mut decoder = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    // Shapes that declare much data without containing it.
    let mut shape = request();
    shape.inputs[0].shape = vec![1 << 40, 32];
    let status = GrpcInferenceServiceClient::connect(cloud.url.clone()).await.unwrap();
    let status = status.clone().model_infer(shape).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let input = Input { value: Some(Value::Picture(huge_png())) };
    let message = DecodeRequest {
        frames: vec![vec![0; 30].into()],
        bundle: "fashion".into(),
        inputs: vec![input],
        ..DecodeRequest::default()
    };
    assert_eq!(decoder.decode(message).await.unwrap_err().code(), Code::InvalidArgument);

    let after = cloud.peak_bytes();
    assert!(after < before + MAX_GROWTH_BYTES, "{before} → {after} bytes");
    let healthy = Load::start(&cloud.url, 2, |_| false);
    healthy.wait(100).await;
    let _ = healthy.stop().await;
}
