//! A bundle that reconstructs, classifies and scores from the same frame.
//!
//! The latent is the image itself, 2×2 pixels of 0 to 1. The decoder loses the last pixel. The column of the
//! score is the sum of the pixels.

use std::{fs, io::Cursor, path::Path};

use axum::http::{Request, StatusCode};
use image::{GrayImage, ImageFormat};
use lopside_bundle::{
    Channels, FixedLatentDraft, HeadKind, ImageSpec, InputSpec, ScorePartSource, ScorePartSpec, ScoreSpec,
};
use lopside_e2e::CloudDecoder;
use lopside_latent::{FixedLatentSpace, IdOnWire};
use lopside_proto::v1::{
    Anomaly, GetBundleRequest, Input, Tensor, decoder_service_client::DecoderServiceClient,
    input::Value as InputValue, input_spec::Kind, output::Value as OutputValue,
};
use serde_json::Value;
use tonic::Code;

use super::toy::{self, even, identity, near, part, product, tensor};

const HEADS: [&str; 3] = ["reconstruct", "classify", "score"];
/// The first and the last pixel are white.
const PIXELS: [u8; 4] = [255, 0, 0, 255];
const LATENT: [f32; 4] = [1.0, 0.0, 0.0, 1.0];

/// Returns the bits of [`PIXELS`]: two integers of 10 take 16 + 1 + 7 bits each, and the zeros take almost
/// none. The sum of the pixels is 2, and one pixel of four is wrong by 1.
fn bits() -> f64 {
    2.0 * 24.0 + 2.0 * (16.0 - 65535_f64.log2())
}
fn score() -> f64 {
    bits() / 24.0 + 2.0 / 4.0
}
fn score_with_input() -> f64 {
    score() + (0.25 - 1.0)
}

fn image_spec() -> ImageSpec {
    ImageSpec::with_uniform_range(2, 2, Channels::Grey, 0.0, 1.0)
}

fn draft() -> FixedLatentDraft {
    let [image, latent] = ["image", "latent"].map(|name| tensor(name, &[4]));
    let mut encoder = toy::graph(&[&image]);
    product(&mut encoder, "image", &identity::<4>(), "latent");
    let encoder = toy::model(encoder, &[&latent]);
    let mut draft =
        toy::draft(InputSpec::Picture(image_spec()), image, encoder, vec![toy::layer(latent.clone())]);
    let mut lossy = identity::<4>();
    lossy[3][3] = 0.0;

    let reconstruction = tensor("reconstruction", &[4]);
    let mut graph = toy::graph(&[&latent]);
    product(&mut graph, "latent", &lossy, "reconstruction");
    let model = toy::model(graph, &[&reconstruction]);
    let kind = HeadKind::Reconstruct(image_spec());
    draft.heads.push(toy::head("reconstruct", kind, &["latent"], reconstruction.clone(), model));

    let logits = tensor("logits", &[2]);
    let mut graph = toy::graph(&[&latent]);
    product(&mut graph, "latent", &[[0.0, 1.0], [0.0; 2], [0.0; 2], [0.0, 1.0]], "logits");
    let kind = HeadKind::Classify { labels: vec!["dark".into(), "bright".into()] };
    let model = toy::model(graph, &[&logits]);
    draft.heads.push(toy::head("classify", kind, &["latent"], logits, model));

    let columns = tensor("columns", &[1]);
    let mut graph = toy::graph(&[&latent]);
    product(&mut graph, "latent", &[[1.0]; 4], "columns");
    product(&mut graph, "latent", &lossy, "reconstruction");
    let model = toy::model(graph, &[&columns, &reconstruction]);
    let kind = HeadKind::Score(ScoreSpec {
        parts: vec![
            part("bits", ScorePartSource::Bits, 24.0),
            part("sum", ScorePartSource::Column(0), 4.0),
            ScorePartSpec { mean: 1.0, ..part("error", ScorePartSource::Error, 1.0) },
        ],
        quantiles: even(4.0),
        quantiles_with_input: Some(even(4.0)),
        threshold: 0.6,
        reconstruction: Some(reconstruction),
    });
    draft.heads.push(toy::head("score", kind, &["latent"], columns, model));
    draft
}

/// Creates a folder with the bundle and an image of [`PIXELS`].
fn folder() -> (tempfile::TempDir, FixedLatentSpace) {
    let folder = tempfile::tempdir().unwrap();
    draft().write(&folder.path().join("bundle"), "# Toy\n").unwrap();
    grey(PIXELS).save(folder.path().join("corners.png")).unwrap();
    (folder, draft().build_space().unwrap())
}

fn cloud(folder: &Path) -> CloudDecoder {
    CloudDecoder::start(&[&folder.join("bundle")])
}

fn frame(space: &FixedLatentSpace) -> Vec<u8> {
    space.encode(&LATENT, IdOnWire::Present).unwrap()
}

fn grey(pixels: [u8; 4]) -> GrayImage {
    GrayImage::from_raw(2, 2, pixels.to_vec()).unwrap()
}

fn png(image: &GrayImage) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, ImageFormat::Png).unwrap();
    out.into_inner()
}

fn image_input(bytes: Vec<u8>) -> Input {
    Input { value: Some(InputValue::Picture(bytes)) }
}

/// Checks a heat map in which only the last pixel is wrong, by the full range.
fn assert_heat_map(png: &[u8]) {
    let map = image::load_from_memory(png).unwrap().to_rgb8();
    assert_eq!(map.as_raw(), &[0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255]);
}

fn assert_anomaly(anomaly: &Anomaly, with_input: bool) {
    let expected = if with_input { score_with_input() } else { score() };
    assert!(near(anomaly.score.into(), expected), "{anomaly:?}");
    assert!(near(anomaly.quantile.into(), expected / 4.0), "{anomaly:?}");
    assert_eq!(anomaly.anomalous, !with_input, "{anomaly:?}");
    let parts = [("bits", bits()), ("sum", 2.0), ("error", 0.25)];
    assert_eq!(anomaly.parts.len(), if with_input { 3 } else { 2 });
    for (part, (name, value)) in anomaly.parts.iter().zip(parts) {
        assert!(part.name == name && near(part.value.into(), value), "{part:?}");
        assert!(near(part.quantile.into(), value / 100.0), "{part:?}");
    }
    assert_eq!(anomaly.heat_map.is_empty(), !with_input);
}

#[tokio::test]
async fn the_bundle_describes_its_input_and_the_parts_of_its_score() {
    let (folder, _) = folder();
    let cloud = cloud(folder.path());
    let (_, body) = cloud.send_http(Request::get("/v1/bundles/toy"), Vec::new()).await;
    let bundle: Value = serde_json::from_slice(&body).unwrap();
    let part = |name: &str, needs_input: bool| serde_json::json!({"name": name, "weight": 1.0, "needs_input": needs_input});
    let parts = [part("bits", false), part("sum", false), part("error", true)];
    assert_eq!(bundle["heads"][2]["kind"]["score"]["parts"], serde_json::json!(parts));
    assert!(!String::from_utf8(body).unwrap().contains("quantiles"));

    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    let request = GetBundleRequest { name: "toy".into() };
    let bundle = client.get_bundle(request).await.unwrap().into_inner().bundle.unwrap();
    let Some(Kind::Picture(image)) = bundle.input.and_then(|input| input.kind) else {
        panic!("the input of the bundle is not an image")
    };
    assert_eq!((image.width, image.height, image.channels), (2, 2, 1));
    let score = &bundle.heads[2];
    let names: Vec<_> = score.parts.iter().map(|part| (&part.name[..], part.needs_input)).collect();
    assert_eq!(names, [("bits", false), ("sum", false), ("error", true)]);
    assert!((score.threshold - 0.6).abs() < 1e-6);
}

#[tokio::test]
async fn one_grpc_request_is_answered_by_every_head() {
    let (folder, space) = folder();
    let cloud = cloud(folder.path());
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    for with_input in [false, true] {
        let inputs = if with_input { vec![image_input(png(&grey(PIXELS)))] } else { Vec::new() };
        let request = toy::request(vec![frame(&space)], &HEADS, inputs);
        let mut response = client.decode(request).await.unwrap().into_inner();
        let [image, scores, anomaly] = response.frames.remove(0).outputs.try_into().unwrap();
        let (
            Some(OutputValue::Png(image)),
            Some(OutputValue::ClassScores(scores)),
            Some(OutputValue::Anomaly(anomaly)),
        ) = (image.value, scores.value, anomaly.value)
        else {
            panic!("the outputs do not match the requested heads")
        };
        assert_eq!(image::load_from_memory(&image).unwrap().to_luma8().as_raw(), &[255, 0, 0, 0]);
        let best = &scores.scores[0];
        assert_eq!(best.label, "bright");
        assert!(near(best.probability.into(), 1.0 / (1.0 + (-2_f64).exp())), "{best:?}");
        assert_anomaly(&anomaly, with_input);
        if with_input {
            assert_heat_map(&anomaly.heat_map);
        }
    }
}

/// Each frame of a request has its own reference input and its own score.
#[tokio::test]
async fn inputs_belong_to_their_frames() {
    let (folder, space) = folder();
    let cloud = cloud(folder.path());
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    let black = space.encode(&[0.0; 4], IdOnWire::Present).unwrap();
    // A larger version of the image is resized to the encoder's input.
    let large = image::imageops::resize(&grey([0; 4]), 40, 20, image::imageops::FilterType::Nearest);
    let inputs = vec![image_input(png(&large)), image_input(png(&grey(PIXELS)))];
    let request = toy::request(vec![black, frame(&space)], &["score"], inputs);
    let response = client.decode(request).await.unwrap().into_inner();
    let errors: Vec<f32> = response
        .frames
        .iter()
        .map(|frame| match &frame.outputs[0].value {
            Some(OutputValue::Anomaly(anomaly)) => anomaly.parts[2].value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(errors, [0.0, 0.25]);
}

#[tokio::test]
async fn invalid_inputs_are_reported_with_their_index() {
    let (folder, space) = folder();
    let cloud = cloud(folder.path());
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    let valid = || image_input(png(&grey(PIXELS)));
    let numbers = Tensor { shape: vec![4], values: LATENT.to_vec() };
    let large = png(&GrayImage::new(4097, 4096));
    let cases = [
        (vec![valid(), image_input(b"no picture".to_vec())], "input 1: it is not a readable image"),
        (vec![valid()], "no reference inputs or one per frame, not 1"),
        (vec![valid(), valid(), valid()], "no reference inputs or one per frame, not 3"),
        (vec![valid(), Input { value: Some(InputValue::Tensor(numbers)) }], "input 1: it contains numbers"),
        (vec![valid(), Input { value: None }], "input 1: it has neither"),
        (vec![valid(), image_input(large)], "input 1: 4097×4096 pixels are over the limit of 16777216"),
    ];
    for (inputs, expected) in cases {
        let request = toy::request(vec![frame(&space), frame(&space)], &["score"], inputs);
        let status = client.decode(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(expected), "{expected}: {}", status.message());
    }
}

const BOUNDARY: &str = "----toy";

/// Returns a multipart form with these fields: name, content type, content.
fn form(fields: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, kind, content) in fields {
        let header = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\nContent-Type: {kind}\r\n\r\n"
        );
        body.extend([header.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    body
}

fn post(query: &str, content_type: &str) -> axum::http::request::Builder {
    Request::post(format!("/v1/bundles/toy/decode{query}")).header("content-type", content_type)
}

fn form_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

#[tokio::test]
async fn one_rest_request_is_answered_by_every_head() {
    let (folder, space) = folder();
    let cloud = cloud(folder.path());
    let frame = frame(&space);
    let with_input =
        form(&[("frame", "application/octet-stream", &frame), ("input", "image/png", &png(&grey(PIXELS)))]);
    let query = "?heads=reconstruct,classify,score";
    for (kind, body) in [("application/octet-stream", frame.clone()), (&form_type(), with_input.clone())] {
        let has_input = kind.starts_with("multipart");
        let (response, body) = cloud.send_http(post(query, kind), body).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        let document: Value = serde_json::from_slice(&body).unwrap();
        let outputs = document["outputs"].as_array().unwrap();
        let names: Vec<_> = outputs.iter().map(|output| output["head"].as_str().unwrap()).collect();
        assert_eq!((&document["bundle"], names), (&"toy".into(), HEADS.to_vec()));
        assert!(outputs[0]["png"].as_str().unwrap().starts_with("iVBORw0KGgo"), "{document}");
        assert_eq!(outputs[1]["class_scores"][0]["label"], "bright");
        let anomaly = &outputs[2]["anomaly"];
        let expected = if has_input { score_with_input() } else { score() };
        assert!(near(anomaly["score"].as_f64().unwrap(), expected), "{anomaly}");
        assert!(near(anomaly["quantile"].as_f64().unwrap(), expected / 4.0), "{anomaly}");
        assert_eq!(anomaly["anomalous"], !has_input);
        assert_eq!(anomaly["parts"].as_array().unwrap().len(), if has_input { 3 } else { 2 });
        assert_eq!(anomaly.get("heat_map").is_some(), has_input);
    }
    // A form is also accepted for a single head, and an image is returned as an image.
    let (response, body) = cloud.send_http(post("?head=reconstruct", &form_type()), with_input).await;
    assert_eq!(response.headers()["content-type"], "image/png");
    assert_eq!(image::load_from_memory(&body).unwrap().to_luma8().as_raw(), &[255, 0, 0, 0]);
    let (_, body) = cloud.send_http(post("?head=score", "application/octet-stream"), frame).await;
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert!(near(document["anomaly"]["score"].as_f64().unwrap(), score()), "{document}");
}

#[tokio::test]
async fn rest_reports_the_error_of_an_invalid_form() {
    let (folder, space) = folder();
    let cloud = cloud(folder.path());
    let (frame, image) = (frame(&space), png(&grey(PIXELS)));
    let large = png(&GrayImage::new(4097, 4096));
    let octets = "application/octet-stream";
    let form_with = |input: (&str, &[u8])| form(&[("frame", octets, &frame), ("input", input.0, input.1)]);
    let cases = [
        ("?heads=score", form_with(("image/png", b"no picture")), "input 0: it is not a readable image"),
        ("?heads=score", form_with((octets, &[0; 16])), "input 0: it contains numbers"),
        ("?heads=score", form_with((octets, &[0; 3])), "multiple of 4"),
        ("?heads=score", form_with(("image/png", &large)), "input 0: 4097×4096 pixels"),
        ("?heads=score", form(&[("input", "image/png", &image)]), "no field \"frame\""),
        (
            "?heads=score",
            form(&[("frame", octets, &frame), ("extra", octets, b"")]),
            "an unknown field \"extra\"",
        ),
        ("?heads=score", form(&[("frame", octets, &frame), ("frame", octets, &frame)]), "\"frame\" twice"),
        ("?heads=score", b"--".to_vec(), "multipart"),
        ("?head=score&heads=score", form_with(("image/png", &image)), "both head and heads are given"),
    ];
    for (query, body, expected) in cases {
        let (response, body) = cloud.send_http(post(query, &form_type()), body).await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{expected}: {text}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert!(error["error"].as_str().unwrap().contains(expected), "{expected}: {text}");
    }
    let (response, _) = cloud.send_http(post("?heads=score,x", octets), frame.clone()).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let head_list = vec!["score"; 17].join(",");
    let (response, _) = cloud.send_http(post(&format!("?heads={head_list}"), octets), frame).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_edge_reports_class_and_score() {
    let (folder, _) = folder();
    let cloud = cloud(folder.path());
    for (extra_args, expected) in [(&[][..], score()), (&["--with-input"][..], score_with_input())] {
        let args = [&["--endpoint", &cloud.url, "corners.png"], extra_args].concat();
        let report = toy::json(folder.path(), "send", &args);
        let row = &report["pictures"][0];
        assert_eq!((&row["name"], &row["class"]), (&"corners".into(), &"bright".into()));
        assert!(near(row["score"].as_f64().unwrap(), expected), "{row}");
        assert!(near(row["quantile"].as_f64().unwrap(), expected / 4.0), "{row}");
        assert_eq!(row["anomalous"], if extra_args.is_empty() { 1.0 } else { 0.0 });
        // One pixel of four is black instead of white.
        assert!(near(row["psnr_db"].as_f64().unwrap(), 10.0 * 4_f64.log10()), "{row}");
        assert_eq!(folder.path().join("out/corners-heat-map.png").is_file(), !extra_args.is_empty());
    }
    assert_heat_map(&fs::read(folder.path().join("out/corners-heat-map.png")).unwrap());
    let table = fs::read_to_string(folder.path().join("out/table.txt")).unwrap();
    let heading: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading[0], "input");
    for column in ["class", "prob", "score", "quantile", "anomalous"] {
        assert!(heading.contains(&column), "{table}");
    }
}
