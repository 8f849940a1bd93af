//! Compressed requests and responses: who gets them, over gRPC and over REST.

use std::io::{Read as _, Write as _};

use axum::body::{Body, Bytes};
use cloud_decoder::{GrpcCompression, transport::FrontSettings};
use flate2::{
    Compression,
    read::{GzDecoder, ZlibDecoder},
    write::GzEncoder,
};
use http_body_util::BodyExt as _;
use hyper::{Request, Response, body::Incoming, http::request};
use serde_json::json;
use tokio::net::TcpStream;

use super::{
    service,
    support::Http2,
    uploads::{INFER, STREAM, grpc_call, prefix},
};

/// Number of items of a request whose response is large enough to be compressed.
const ITEMS: usize = 8;
const LATENT_FLOATS: usize = 32;

async fn connect(compression: Option<GrpcCompression>) -> Http2 {
    let configure = |args: &mut cloud_decoder::ServeArgs| args.connections.grpc_compression = compression;
    let server = service::start_with(FrontSettings::default(), configure).await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    tokio::spawn(server.run_until(std::future::pending()));
    Http2::over(stream).await
}

/// Returns a field of a protobuf message, of at most 2 MiB.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len();
    let varint = [len as u8 | 0x80, (len >> 7) as u8 | 0x80, (len >> 14) as u8];
    [&[(number << 3) | 2][..], &varint, bytes].concat()
}

/// Returns a `ModelInferRequest` for so many items.
fn infer_request(items: usize) -> Vec<u8> {
    let shape = field(3, &[items as u8, LATENT_FLOATS as u8]);
    let input = [field(1, b"latent"), field(2, b"FP32"), shape].concat();
    let latents = vec![0; items * LATENT_FLOATS * 4];
    [field(1, b"fashion.reconstruct"), field(5, &input), field(7, &latents)].concat()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn inflate(encoding: &str, data: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::new();
    match encoding {
        "gzip" => GzDecoder::new(data).read_to_end(&mut inflated),
        _ => ZlibDecoder::new(data).read_to_end(&mut inflated),
    }
    .unwrap();
    inflated
}

async fn send(client: &Http2, request: Request<Body>) -> Response<Incoming> {
    client.requests.clone().send_request(request).await.unwrap()
}

/// The only message of a gRPC response.
struct Answer {
    encoding: Option<String>,
    is_compressed: bool,
    message: Bytes,
}

/// Calls a method with one message.
async fn call(client: &Http2, method: &str, headers: &[(&str, &str)], flag: u8, message: &[u8]) -> Answer {
    let head = headers.iter().fold(grpc_call(method), |head, (name, value)| head.header(*name, *value));
    let body = [&prefix(flag, message.len())[..], message].concat();
    let response = send(client, head.body(Body::from(body)).unwrap()).await;
    let encoding = response.headers().get("grpc-encoding").map(|name| name.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0", "{:?}", body.trailers());
    let mut message = body.to_bytes();
    let prefix = message.split_to(5);
    assert_eq!(message.len(), u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize);
    Answer { encoding, is_compressed: prefix[0] == 1, message }
}

/// What gRPC's core library lists in every call.
const LISTED: (&str, &str) = ("grpc-accept-encoding", "identity, deflate, gzip");

#[tokio::test]
async fn a_response_is_compressed_only_if_the_call_asks_for_it() {
    let client = connect(None).await;
    let request = infer_request(ITEMS);
    for method in [INFER, STREAM] {
        let plain = call(&client, method, &[LISTED], 0, &request).await;
        assert!(plain.encoding.is_none() && !plain.is_compressed && plain.message.len() > 10_000);
        for (headers, flag, expected) in [
            (&[LISTED, ("grpc-encoding", "gzip")][..], 1, Some("gzip")),
            (&[LISTED, ("grpc-encoding", "gzip")], 0, Some("gzip")),
            (&[LISTED, ("lopside-compress", "gzip")], 0, Some("gzip")),
            (&[LISTED, ("lopside-compress", "deflate")], 0, Some("deflate")),
            (&[LISTED, ("grpc-encoding", "gzip"), ("lopside-compress", "no")], 1, None),
            (&[("grpc-encoding", "gzip")], 1, None),
        ] {
            let message = if flag == 1 { gzip(&request) } else { request.clone() };
            let answer = call(&client, method, headers, flag, &message).await;
            assert_eq!(answer.encoding.as_deref(), expected, "{headers:?}");
            assert_eq!(answer.is_compressed, expected.is_some(), "{headers:?}");
            let message = expected.map_or(answer.message.to_vec(), |name| inflate(name, &answer.message));
            assert!(message == plain.message, "{headers:?}");
        }
    }
    // A small message is not compressed, also if the others of its stream would be.
    let empty = call(&client, STREAM, &[LISTED, ("lopside-compress", "gzip")], 0, &[]).await;
    assert!(empty.encoding.is_some() && !empty.is_compressed);
}

#[tokio::test]
async fn the_setting_turns_compression_off_or_on_for_all_calls() {
    let request = infer_request(ITEMS);
    for (setting, headers, is_compressed) in [
        (GrpcCompression::Off, &[LISTED, ("lopside-compress", "gzip")][..], false),
        (GrpcCompression::Always, &[LISTED], true),
        (GrpcCompression::Always, &[], false),
    ] {
        let client = connect(Some(setting)).await;
        let answer = call(&client, INFER, headers, 0, &request).await;
        assert_eq!(answer.is_compressed, is_compressed, "{setting:?}");
    }
}

#[tokio::test]
async fn an_unknown_encoding_is_refused_with_the_known_ones() {
    let client = connect(None).await;
    let head = grpc_call("/lopside.v1.DecoderService/ListBundles").header("grpc-encoding", "zstd");
    let response = send(&client, head.body(Body::from(prefix(1, 0))).unwrap()).await;
    assert_eq!(response.headers()["grpc-status"], "12");
    assert_eq!(response.headers()["grpc-accept-encoding"], "gzip,deflate,identity");
}

/// Returns the body of a request over REST for [`ITEMS`] items, whose response has binary tensors or JSON.
fn infer_json(is_binary: bool) -> Vec<u8> {
    let (shape, data) = ([ITEMS, LATENT_FLOATS], vec![0; ITEMS * LATENT_FLOATS]);
    let input = json!({ "name": "latent", "datatype": "FP32", "shape": shape, "data": data });
    let parameters = json!({ "binary_data_output": is_binary });
    json!({ "inputs": [input], "parameters": parameters }).to_string().into_bytes()
}

/// Returns the head of that request from a client that accepts these encodings.
fn rest_call(accepted: &str) -> request::Builder {
    Request::post("http://x/v2/models/fashion.reconstruct/infer").header("accept-encoding", accepted)
}

#[tokio::test]
async fn rest_responses_are_compressed_for_clients_that_accept_it_and_large_enough() {
    let client = connect(None).await;
    let body = infer_json(false);
    let plain = send(&client, rest_call("identity").body(Body::from(body.clone())).unwrap()).await;
    assert!(plain.status() == 200 && !plain.headers().contains_key("content-encoding"));
    let plain = plain.into_body().collect().await.unwrap().to_bytes();
    for (accepted, expected) in [("gzip, deflate", "gzip"), ("deflate, gzip;q=0.5", "deflate")] {
        // The request is compressed, too.
        let request = rest_call(accepted).header("content-encoding", "gzip").body(Body::from(gzip(&body)));
        let response = send(&client, request.unwrap()).await;
        assert_eq!(response.headers()["content-encoding"], expected);
        assert_eq!(response.headers()["vary"], "accept-encoding");
        let data = response.into_body().collect().await.unwrap().to_bytes();
        assert!(data.len() < plain.len() && inflate(expected, &data) == plain, "{accepted}");
    }
    // An error is too small.
    let response = send(&client, rest_call("gzip").body(Body::from("{}")).unwrap()).await;
    assert!(response.status() == 400 && !response.headers().contains_key("content-encoding"));
    let damaged = rest_call("gzip").header("content-encoding", "gzip").body(Body::from("not gzip"));
    assert_eq!(send(&client, damaged.unwrap()).await.status(), 400);
    let unknown = rest_call("gzip").header("content-encoding", "br").body(Body::from("{}"));
    assert_eq!(send(&client, unknown.unwrap()).await.status(), 415);
}

#[tokio::test]
async fn binary_tensors_are_compressed_only_for_clients_that_ask_for_it() {
    let client = connect(None).await;
    for (accepted, is_binary, expected) in [
        // The lists of aiohttp and of browsers.
        ("gzip, deflate", true, None),
        ("gzip, deflate, br, zstd", true, None),
        ("gzip, deflate", false, Some("gzip")),
        ("gzip", true, Some("gzip")),
        ("deflate", true, Some("deflate")),
    ] {
        let response =
            send(&client, rest_call(accepted).body(Body::from(infer_json(is_binary))).unwrap()).await;
        let kind = if is_binary { "application/octet-stream" } else { "application/json" };
        assert_eq!(response.headers()["content-type"], kind, "{accepted}");
        let encoding = response.headers().get("content-encoding").map(|name| name.to_str().unwrap());
        assert_eq!(encoding, expected, "{accepted}, {is_binary}");
    }
    let request = rest_call("gzip, deflate").header("content-encoding", "gzip");
    let response = send(&client, request.body(Body::from(gzip(&infer_json(true)))).unwrap()).await;
    assert_eq!(response.headers()["content-encoding"], "gzip", "the client compresses, too");
}
