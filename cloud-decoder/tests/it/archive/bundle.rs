//! A bundle that reconstructs, classifies and scores: its latent is an image of 2×2 pixels from 0 to 1, in
//! tenths.

use std::{fs, path::Path};

use lopside_bundle::{
    Channels, Dim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec, HeadKind, ImageSpec,
    InputSpec, LATENT_SPACE_KEY, ModelCost, Quantiles, ScorePartSource, ScorePartSpec, ScoreSpec, TensorSpec,
};
use lopside_latent::{IdOnWire, LatentSpaceId, Table, Tables};
use lopside_onnx::{GraphBuilder, encode_model, set_metadata};

const PIXELS: usize = 4;
const IDENTITY: [[f32; PIXELS]; PIXELS] =
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

/// Writes the bundle. The score is the sum of the pixels times the version of the score head; the scores of
/// normal samples are 0 to 4. An image is bright if the sum of its pixels is at least 1.
pub(crate) fn write(folder: &Path, version: u32) {
    draft(version, version as f32).write(folder, "# Toy\n").unwrap();
}

/// Replaces the bundle as a careful operator does: the new folder is complete before it is renamed.
pub(crate) fn replace(folder: &Path, version: u32) {
    replace_score(folder, version, version as f32);
}

/// Replaces the bundle by one whose score head has this version and multiplies by this factor.
pub(crate) fn replace_score(folder: &Path, version: u32, factor: f32) {
    let (temporary, old) = (folder.with_extension("fresh"), folder.with_extension("old"));
    draft(version, factor).write(&temporary, "# Toy\n").unwrap();
    fs::rename(folder, &old).unwrap();
    fs::rename(&temporary, folder).unwrap();
    fs::remove_dir_all(&old).unwrap();
}

/// Returns the latent space of the bundle.
pub(crate) fn space() -> LatentSpaceId {
    draft(1, 1.0).latent_space()
}

/// Returns the frame of an image.
pub(crate) fn frame(pixels: [f32; PIXELS]) -> Vec<u8> {
    draft(1, 1.0).build_space().unwrap().encode(&pixels, IdOnWire::Present).unwrap()
}

/// Returns the frame of an image, without the id of its latent space.
pub(crate) fn nameless_frame(pixels: [f32; PIXELS]) -> Vec<u8> {
    draft(1, 1.0).build_space().unwrap().encode(&pixels, IdOnWire::Session).unwrap()
}

/// Returns the bundle whose score head has this version and multiplies by this factor.
fn draft(version: u32, factor: f32) -> FixedLatentDraft {
    let mut draft = FixedLatentDraft {
        name: "toy".into(),
        description: "Four pixels".into(),
        input: InputSpec::Picture(image_spec()),
        encoder: b"encoder".to_vec(),
        input_tensor: tensor("image", PIXELS as u32),
        encoder_cost: ModelCost { parameters: 0, macs: 0 },
        latent: vec![FixedLatentLayerSpec {
            tensor: tensor("latent", PIXELS as u32),
            gains: vec![10.0; PIXELS],
        }],
        tables: Tables::new(vec![Table::from_counts(0, &[1; 11]).unwrap(); PIXELS]).unwrap(),
        heads: heads((version, factor), ""),
    };
    draft.heads = heads((version, factor), &draft.latent_space().to_string());
    draft
}

fn heads((version, factor): (u32, f32), space: &str) -> Vec<FixedLatentDraftHead> {
    let labels = ["dark", "bright"].map(String::from).to_vec();
    let score = ScoreSpec {
        parts: vec![ScorePartSpec {
            name: "sum".into(),
            source: ScorePartSource::Column(0),
            weight: 1.0,
            mean: 0.0,
            deviation: 1.0,
            quantiles: Quantiles::from_samples(&[0.0, 4.0], 2).unwrap(),
        }],
        quantiles: Quantiles::from_samples(&[0.0, 4.0], 2).unwrap(),
        quantiles_with_input: None,
        threshold: 0.5,
        reconstruction: None,
    };
    let logits = [[-1.0, 1.0]; PIXELS];
    vec![
        head("reconstruct", 1, HeadKind::Reconstruct(image_spec()), (&IDENTITY, [0.0; PIXELS]), space),
        head("classify", 1, HeadKind::Classify { labels }, (&logits, [1.0, -1.0]), space),
        head("score", version, HeadKind::Score(score), (&[[factor]; PIXELS], [0.0]), space),
    ]
}

/// Returns a head that multiplies the pixels by a matrix and adds a bias.
fn head<const N: usize>(
    name: &str,
    version: u32,
    kind: HeadKind,
    (rows, bias): (&[[f32; N]; PIXELS], [f32; N]),
    space: &str,
) -> FixedLatentDraftHead {
    let mut graph = GraphBuilder::new(name);
    graph.add_input("latent", &["n".into(), (PIXELS as i64).into()]);
    let weight = graph.add_initializer("weight", &[PIXELS as i64, N as i64], rows.as_flattened()).unwrap();
    let bias = graph.add_initializer("bias", &[N as i64], &bias).unwrap();
    graph.gemm("latent", &weight, &bias, "made");
    graph.add_output("made", &["n".into(), (N as i64).into()]);
    let mut model = graph.build();
    set_metadata(&mut model, LATENT_SPACE_KEY, space);
    FixedLatentDraftHead {
        name: name.into(),
        version,
        kind,
        model: encode_model(&model),
        inputs: vec!["latent".into()],
        output: tensor("made", N as u32),
        cost: ModelCost { parameters: 0, macs: 0 },
    }
}

fn image_spec() -> ImageSpec {
    ImageSpec::with_uniform_range(2, 2, Channels::Grey, 0.0, 1.0)
}

fn tensor(name: &str, values: u32) -> TensorSpec {
    TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(values)] }
}
