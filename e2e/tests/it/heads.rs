//! Several heads that read one latent, with a bundle created by the test: an image and class scores from the
//! same frame.

use std::path::Path;

use lopside_bundle::{
    Channels, Dim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec, HeadKind, ImageSpec,
    InputSpec, LATENT_SPACE_KEY, ModelCost, TensorSpec,
};
use lopside_e2e::{CloudDecoder, run_failing, serve_command};
use lopside_latent::{FixedLatentSpace, IdOnWire, Table, Tables};
use lopside_onnx::{GraphBuilder, encode_model, set_metadata};
use lopside_proto::v1::{
    DecodeRequest, OutputFormat, OutputRequest, decoder_service_client::DecoderServiceClient,
    output::Value as OutputValue,
};

const LABELS: [&str; 3] = ["left", "right", "neither"];

fn tensor(name: &str, extent: u32) -> TensorSpec {
    TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(extent)] }
}

/// Returns a model `latent [n, 2] · weight` with a latent-space id in its metadata.
fn linear(output: &str, width: i64, weight: &[f32], latent_space: &str) -> Vec<u8> {
    let batch = |extent: i64| [lopside_onnx::Dim::from("n"), lopside_onnx::Dim::Fixed(extent)];
    let mut graph = GraphBuilder::new("linear");
    let latent = graph.add_input("latent", &batch(2));
    let weight = graph.add_initializer("weight", &[2, width], weight).unwrap();
    let bias = graph.add_initializer("bias", &[width], &vec![0.0; width as usize]).unwrap();
    graph.gemm(&latent, &weight, &bias, output);
    graph.add_output(output, &batch(width));
    let mut model = graph.build();
    set_metadata(&mut model, LATENT_SPACE_KEY, latent_space);
    encode_model(&model)
}

fn image_spec() -> ImageSpec {
    ImageSpec::with_uniform_range(2, 1, Channels::Grey, 0.0, 1.0)
}

fn draft() -> FixedLatentDraft {
    let kind = HeadKind::Reconstruct(image_spec());
    let head = |name: &str, kind, output: &str, extent| FixedLatentDraftHead {
        name: name.into(),
        version: 1,
        kind,
        model: Vec::new(),
        inputs: vec!["latent".into()],
        output: tensor(output, extent),
        cost: ModelCost { parameters: 0, macs: 2 * u64::from(extent) },
    };
    let labels = LABELS.map(String::from).to_vec();
    FixedLatentDraft {
        name: "toy".into(),
        description: "Two values for two pixels".into(),
        input: InputSpec::Picture(image_spec()),
        encoder: b"stays at the edge".to_vec(),
        input_tensor: tensor("image", 2),
        encoder_cost: ModelCost { parameters: 0, macs: 4 },
        latent: vec![FixedLatentLayerSpec { tensor: tensor("latent", 2), gains: vec![10.0; 2] }],
        tables: Tables::new(vec![Table::from_counts(0, &[1; 11]).unwrap(); 2]).unwrap(),
        heads: vec![
            head("reconstruct", kind, "picture", 2),
            head("classify", HeadKind::Classify { labels }, "logits", 3),
        ],
    }
}

/// Writes the bundle. Its heads contain the id `latent_space`, or the correct id if it is `None`.
fn write(folder: &Path, latent_space: Option<&str>) -> FixedLatentSpace {
    let mut draft = draft();
    let id = draft.latent_space();
    let id_text = latent_space.map_or_else(|| id.to_string(), str::to_owned);
    draft.heads[0].model = linear("picture", 2, &[1.0, 0.0, 0.0, 1.0], &id_text);
    draft.heads[1].model = linear("logits", 3, &[2.0, 0.0, 0.0, 0.0, 2.0, 0.0], &id_text);
    draft.write(folder, "# Toy\n").unwrap();
    draft.build_space().unwrap()
}

#[tokio::test]
async fn one_frame_gives_an_image_and_class_scores() {
    let folder = tempfile::tempdir().unwrap();
    let space = write(folder.path(), None);
    let cloud = CloudDecoder::start(&[folder.path()]);
    let frames = [[1.0, 0.0], [0.0, 0.5]].map(|z| space.encode(&z, IdOnWire::Present).unwrap().into());
    let output = |head: &str| OutputRequest {
        head: head.into(),
        format: OutputFormat::Unspecified.into(),
        version: 0,
    };
    let request = DecodeRequest {
        frames: frames.to_vec(),
        bundle: "toy".into(),
        outputs: vec![output("classify"), output("reconstruct")],
        inputs: Vec::new(),
    };
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    let response = client.decode(request).await.unwrap().into_inner();
    let expected = [("left", 2.0_f32, [255, 0]), ("right", 1.0, [0, 128])];
    for (frame, (label, logit, samples)) in response.frames.into_iter().zip(expected) {
        let [scores, image] = frame.outputs.try_into().unwrap();
        let (Some(OutputValue::ClassScores(scores)), Some(OutputValue::Png(png))) =
            (scores.value, image.value)
        else {
            panic!("the outputs are not in the requested order")
        };
        let best = &scores.scores[0];
        assert_eq!((best.label.as_str(), scores.scores.len()), (label, 3));
        // The softmax of (logit, 0, 0).
        assert!((best.probability - logit.exp() / (logit.exp() + 2.0)).abs() < 1e-6, "{best:?}");
        assert_eq!(image::load_from_memory(&png).unwrap().to_luma8().as_raw(), &samples);
    }
}

#[test]
fn a_head_of_another_latent_space_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Some("00000000000000aa"));
    let error = run_failing(&mut serve_command(&[folder.path()]));
    assert!(error.contains("head \"reconstruct\"") && error.contains("00000000000000aa"), "{error}");
}
