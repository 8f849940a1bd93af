//! A latent with a base layer and an enhancement layer: six numbers, two in the base layer, and four in the
//! enhancement layer, which has two feature maps of 1×2.

use std::{fs, path::Path};

use lopside_bundle::{FixedLatentDraft, FixedLatentLayerSpec, HeadKind, InputSpec};
use lopside_e2e::{CloudDecoder, run_failing, run_stdout};
use lopside_latent::{Table, Tables};
use lopside_proto::v1::{
    GetBundleRequest, decoder_service_client::DecoderServiceClient, output::Value as OutputValue,
};

use super::toy::{self, GAIN, edge, npy, product, tensor};

const VALUES: [f32; 6] = [1.0, 2.0, 3.0, -4.0, 5.0, -6.0];

/// Returns the bundle. Its encoder outputs the enhancement layer before the base layer: the manifest's order
/// counts.
fn draft() -> FixedLatentDraft {
    let [x, base, detail] = [tensor("x", &[6]), tensor("base", &[2]), tensor("detail", &[2, 1, 2])];
    let mut encoder = toy::graph(&[&x]);
    encoder.slice("x", 1, 2, 6, "rest");
    encoder.reshape("rest", &[-1, 2, 1, 2], "detail");
    encoder.slice("x", 1, 0, 2, "base");
    let encoder = toy::model(encoder, &[&detail, &base]);
    // One gain per map.
    let maps = FixedLatentLayerSpec { tensor: detail.clone(), gains: vec![GAIN, 1.0] };
    let latent = vec![toy::layer(base.clone()), maps];
    let mut draft = toy::draft(InputSpec::Tensor {}, x, encoder, latent);
    draft.tables = Tables::new(vec![Table::from_counts(-60, &[1; 121]).unwrap(); 4]).unwrap();

    let all = tensor("all", &[6]);
    let mut graph = toy::graph(&[&base, &detail]);
    graph.flatten("detail", "flat");
    graph.concat(&["base", "flat"], 1, "all");
    let model = toy::model(graph, &[&all]);
    draft.heads.push(toy::head("all", HeadKind::Tensor {}, &["base", "detail"], all, model));

    let logits = tensor("logits", &[2]);
    let mut graph = toy::graph(&[&base]);
    product(&mut graph, "base", &toy::identity::<2>(), "logits");
    let model = toy::model(graph, &[&logits]);
    let kind = HeadKind::Classify { labels: vec!["first".into(), "second".into()] };
    draft.heads.push(toy::head("classify", kind, &["base"], logits, model));
    draft
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    draft().write(&folder.path().join("bundle"), "# Toy\n").unwrap();
    fs::write(folder.path().join("six.npy"), npy(&[6], &VALUES)).unwrap();
    folder
}

fn encoded(folder: &Path, extra_args: &[&str]) -> Vec<u8> {
    let _ = run_stdout(&mut edge(folder, "encode", &[&["six.npy"], extra_args].concat()));
    fs::read(folder.join("out/six.lps")).unwrap()
}

#[tokio::test]
async fn omitted_layers_decode_as_zeros() {
    let folder = folder();
    let (complete, base) = (encoded(folder.path(), &[]), encoded(folder.path(), &["--layers", "1"]));
    assert!(base.len() < complete.len(), "{} {}", base.len(), complete.len());
    assert_eq!(encoded(folder.path(), &["--layers", "2"]), complete);

    let cloud = CloudDecoder::start(&[&folder.path().join("bundle")]);
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    // Frames with one layer and with two run in one batch.
    let request = toy::request(vec![complete, base], &["all", "classify"], Vec::new());
    let response = client.decode(request).await.unwrap().into_inner();
    let expected = [VALUES, [1.0, 2.0, 0.0, 0.0, 0.0, 0.0]];
    for (frame, expected) in response.frames.into_iter().zip(expected) {
        let [all, scores] = frame.outputs.try_into().unwrap();
        let (Some(OutputValue::Tensor(all)), Some(OutputValue::ClassScores(scores))) =
            (all.value, scores.value)
        else {
            panic!("the outputs do not match the requested heads")
        };
        assert_eq!((all.values.as_slice(), all.shape.as_slice()), (&expected[..], &[6][..]));
        assert_eq!(scores.scores[0].label, "second");
    }

    let request = GetBundleRequest { name: "toy".into() };
    let bundle = client.get_bundle(request).await.unwrap().into_inner().bundle.unwrap();
    assert_eq!(bundle.latent_shape, [6]);
    let layers: Vec<_> = bundle.layers.iter().map(|layer| (&layer.tensor[..], &layer.shape[..])).collect();
    assert_eq!(layers, [("base", &[2][..]), ("detail", &[2, 1, 2])]);
}

#[test]
fn inspect_shows_the_number_of_layers_in_a_frame() {
    let folder = folder();
    for (layers, integers) in
        [("1", serde_json::json!([10, 20])), ("2", serde_json::json!([10, 20, 30, -40, 5, -6]))]
    {
        let frame = encoded(folder.path(), &["--layers", layers]);
        let inspection = toy::json(folder.path(), "inspect", &["out/six.lps"]);
        let carried: u64 = layers.parse().unwrap();
        assert_eq!(inspection["layers"], serde_json::json!({"carried": carried, "of": 2}));
        assert_eq!((&inspection["integers"], &inspection["bytes"]), (&integers, &frame.len().into()));
        assert_eq!(inspection["shape"], serde_json::json!([integers.as_array().unwrap().len()]));
        let text = run_stdout(&mut edge(folder.path(), "inspect", &["out/six.lps"]));
        assert!(text.contains(&format!("layers         {layers} of 2")), "{text}");
    }
    for layers in ["0", "3"] {
        let error = run_failing(&mut edge(folder.path(), "encode", &["six.npy", "--layers", layers]));
        assert!(error.contains(layers), "{error}");
    }
}

#[test]
fn an_encoder_without_a_layer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut draft = draft();
    let (x, base) = (tensor("x", &[6]), tensor("base", &[2]));
    let mut encoder = toy::graph(&[&x]);
    encoder.slice("x", 1, 0, 2, "base");
    draft.encoder = toy::model(encoder, &[&base]);
    draft.write(&folder.path().join("bundle"), "# Toy\n").unwrap();
    fs::write(folder.path().join("six.npy"), npy(&[6], &VALUES)).unwrap();
    let error = run_failing(&mut edge(folder.path(), "encode", &["six.npy"]));
    assert!(error.contains("detail"), "{error}");
}
