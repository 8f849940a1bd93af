//! A new encoder for a running device: from the operator's channel file to the decoding of all archived
//! frames.

use std::{
    fs,
    path::{Path, PathBuf},
};

use axum::http::Request;
use edge_encoder::agent::AgentReport;
use image::{GrayImage, Luma};
use lopside_bundle::{
    BundlePart, Channels, Dim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec,
    GoldenInputDraft, HeadKind, ImageSpec, InputSpec, ModelCost, TensorSpec, image_codec::AnyBundle,
    put_golden_inputs,
};
use lopside_e2e::{CloudDecoder, serve_command};
use lopside_encoder::{AnyEncoder, EncodeOptions, ImageCodecOptions, golden::first_input};
use lopside_latent::{IdOnWire, Table, Tables, image_codec::Quality};
use lopside_onnx::{GraphBuilder, encode_model};
use serde_json::Value;

use super::agent::Home;

/// Quantisation steps per unit of the latent.
const GAIN: f32 = 100.0;

/// Writes a version of the bundle `toy`. The latent is the four pixels, 0 to 1, times a factor, and the head
/// returns the latent.
fn version(root: &Path, number: u32, factor: f32) -> PathBuf {
    let folder = root.join(format!("bundles/toy/{number}"));
    draft(factor).write(&folder, "# Toy\n").unwrap();
    let input = root.join("golden.png");
    pixel_image([200, 100, 50, 25]).save(&input).unwrap();
    let options =
        EncodeOptions { image_codec: ImageCodecOptions::new(Quality::new(50).unwrap()), use_fast: false };
    let encoder = AnyEncoder::new(&AnyBundle::load(&folder, BundlePart::Encoder).unwrap(), &options).unwrap();
    let golden = first_input(&encoder, &input).unwrap();
    let frame = encoder.encode(&golden, IdOnWire::Present).unwrap().frame;
    let draft = GoldenInputDraft { name: "golden.png".into(), input: fs::read(&input).unwrap(), frame };
    put_golden_inputs(&folder, &[draft]).unwrap();
    folder
}

fn draft(factor: f32) -> FixedLatentDraft {
    let tensor =
        |name: &str| TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(4)] };
    let multiplication = |input: &str, output: &str, factor: f32| {
        let mut graph = GraphBuilder::new("toy");
        let x = graph.add_input(input, &["n".into(), 4.into()]);
        let factor = graph.add_initializer("factor", &[1], &[factor]).unwrap();
        graph.add_node("Mul", &[&x, &factor], output, &[]);
        graph.add_output(output, &["n".into(), 4.into()]);
        encode_model(&graph.build())
    };
    let cost = ModelCost { parameters: 1, macs: 4 };
    FixedLatentDraft {
        name: "toy".into(),
        description: "Four numbers for four pixels".into(),
        input: InputSpec::Picture(ImageSpec::with_uniform_range(2, 2, Channels::Grey, 0.0, 1.0)),
        encoder: multiplication("image", "latent", factor),
        input_tensor: tensor("image"),
        encoder_cost: cost,
        latent: vec![FixedLatentLayerSpec { tensor: tensor("latent"), gains: vec![GAIN; 4] }],
        tables: Tables::new(vec![Table::from_counts(0, &[1]).unwrap(); 4]).unwrap(),
        heads: vec![FixedLatentDraftHead {
            name: "pixels".into(),
            version: 1,
            kind: HeadKind::Tensor {},
            model: multiplication("latent", "out", 1.0),
            inputs: vec!["latent".into()],
            output: tensor("out"),
            cost,
        }],
    }
}

fn pixel_image(pixels: [u8; 4]) -> GrayImage {
    GrayImage::from_fn(2, 2, |x, y| Luma([pixels[(2 * y + x) as usize]]))
}

fn delivered(report: &AgentReport) -> u64 {
    report.spool.classes.iter().map(|class| class.delivered).sum()
}

async fn json(cloud: &CloudDecoder, path: &str) -> Value {
    let (response, body) = cloud.send_http(Request::get(path), Vec::new()).await;
    assert!(response.status().is_success(), "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_gets_another_encoder_and_old_frames_are_still_decoded() {
    let root = tempfile::tempdir().unwrap();
    let old = version(root.path(), 1, 1.0);
    version(root.path(), 2, 2.0);
    let (channels, config) = (root.path().join("channels.toml"), root.path().join("cloud.toml"));
    let offer = |version: u32| {
        let text = format!("[[channel]]\nname = 'stable'\nbundle = 'toy'\nversion = {version}\n");
        fs::write(&channels, text).unwrap();
    };
    offer(1);
    fs::write(&config, format!("channels = {channels:?}\nreload_seconds = 1\n")).unwrap();
    let mut serve = serve_command(&[&root.path().join("bundles")]);
    let archive = format!("sqlite:{}", root.path().join("archive.db").display());
    let mut cloud = CloudDecoder::run(serve.arg("--config").arg(&config).args(["--archive", &archive]));

    let home = Home::new(cloud.url.clone(), "").following("stable", old);
    let agent = home.start();
    home.put("before.png", &pixel_image([40, 80, 120, 160]));
    let first = agent.until(|report| delivered(report) == 1 && report.update.is_some()).await;
    assert_eq!(first.update.as_ref().unwrap().state, "configured");
    offer(2);
    let swapped = agent.until(|report| report.latent_space != first.latent_space).await;
    assert_eq!(swapped.update.unwrap().state, "on probation");
    home.put("after.png", &pixel_image([40, 80, 120, 160]));
    let last = agent.until(|report| delivered(report) == 2).await;
    assert_eq!(last.update.unwrap().state, "confirmed");
    agent.stop();

    let page = json(&cloud, "/v1/frames").await;
    let frames = page["frames"].as_array().unwrap();
    let spaces: Vec<Option<&str>> = frames.iter().map(|frame| frame["latent_space"].as_str()).collect();
    assert_eq!(frames.len(), 2, "{page}");
    for (space, factor) in [(&first.latent_space, 1.0), (&swapped.latent_space, 2.0)] {
        let index = spaces
            .iter()
            .position(|found| *found == space.as_deref())
            .expect("each latent space has a frame");
        let decoded = json(&cloud, &format!("/v1/frames/{}/pixels", frames[index]["id"])).await;
        let values: Vec<f64> =
            decoded["values"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        let expected = [40.0, 80.0, 120.0, 160.0].map(|pixel: f64| factor * pixel / 255.0);
        assert_eq!(values.len(), 4, "{decoded}");
        for (value, expected) in values.iter().zip(expected) {
            assert!(
                (value - expected).abs() <= 0.5 / f64::from(GAIN) + 1e-6,
                "{decoded} instead of {expected}"
            );
        }
    }
    let (status, log) = cloud.stop();
    assert!(status.success(), "{log}");
}
