//! A bundle that reconstructs, classifies and scores: its latent is an image of 2×2 pixels from 0 to 1, in
//! tenths.

use std::{fs, path::Path};

use lopside_bundle::{
    Channels, Cost, Dim, Draft, DraftHead, HeadKind, InputSpec, LATENT_SPACE_KEY, LatentSpec, PartSource,
    PartSpec, PictureSpec, Quantiles, ScoreSpec, TensorSpec,
};
use lopside_latent::{IdOnWire, LatentSpaceId, Table, Tables};
use lopside_onnx::{GraphBuilder, encode, set_metadata};

const PIXELS: usize = 4;
const SAME: [[f32; PIXELS]; PIXELS] =
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

/// Writes the bundle. The score is the sum of the pixels times the version of the score head; the scores of
/// normal samples are 0 to 4. An image is bright if the sum of its pixels is at least 1.
pub(crate) fn write(folder: &Path, version: u32) {
    draft(version).write(folder, "# Toy\n").unwrap();
}

/// Replaces the bundle as a careful operator does: the new folder is complete before it is renamed.
pub(crate) fn replace(folder: &Path, version: u32) {
    let (fresh, old) = (folder.with_extension("fresh"), folder.with_extension("old"));
    write(&fresh, version);
    fs::rename(folder, &old).unwrap();
    fs::rename(&fresh, folder).unwrap();
    fs::remove_dir_all(&old).unwrap();
}

/// Returns the latent space of the bundle.
pub(crate) fn space() -> LatentSpaceId {
    draft(1).latent_space()
}

/// Returns the frame of an image.
pub(crate) fn frame(pixels: [f32; PIXELS]) -> Vec<u8> {
    draft(1).space().unwrap().encode(&pixels, IdOnWire::Present).unwrap()
}

/// Returns the frame of an image, without the id of its latent space.
pub(crate) fn nameless_frame(pixels: [f32; PIXELS]) -> Vec<u8> {
    draft(1).space().unwrap().encode(&pixels, IdOnWire::Session).unwrap()
}

fn draft(version: u32) -> Draft {
    let mut draft = Draft {
        name: "toy".into(),
        description: "Four pixels".into(),
        input: InputSpec::Picture(picture()),
        encoder: b"encoder".to_vec(),
        input_tensor: tensor("image", PIXELS as u32),
        encoder_cost: Cost { parameters: 0, macs: 0 },
        latent: vec![LatentSpec { tensor: tensor("latent", PIXELS as u32), gains: vec![10.0; PIXELS] }],
        tables: Tables::new(vec![Table::from_counts(0, &[1; 11]).unwrap(); PIXELS]).unwrap(),
        heads: heads(version, ""),
    };
    draft.heads = heads(version, &draft.latent_space().to_string());
    draft
}

fn heads(version: u32, space: &str) -> Vec<DraftHead> {
    let labels = ["dark", "bright"].map(String::from).to_vec();
    let score = ScoreSpec {
        parts: vec![PartSpec {
            name: "sum".into(),
            source: PartSource::Column(0),
            weight: 1.0,
            mean: 0.0,
            deviation: 1.0,
            quantiles: Quantiles::of(&[0.0, 4.0], 2).unwrap(),
        }],
        quantiles: Quantiles::of(&[0.0, 4.0], 2).unwrap(),
        quantiles_with_input: None,
        threshold: 0.5,
        reconstruction: None,
    };
    let logits = [[-1.0, 1.0]; PIXELS];
    vec![
        head("reconstruct", 1, HeadKind::Reconstruct(picture()), (&SAME, [0.0; PIXELS]), space),
        head("classify", 1, HeadKind::Classify { labels }, (&logits, [1.0, -1.0]), space),
        head("score", version, HeadKind::Score(score), (&[[version as f32]; PIXELS], [0.0]), space),
    ]
}

/// Returns a head that multiplies the pixels by a matrix and adds a bias.
fn head<const N: usize>(
    name: &str,
    version: u32,
    kind: HeadKind,
    (rows, bias): (&[[f32; N]; PIXELS], [f32; N]),
    space: &str,
) -> DraftHead {
    let mut graph = GraphBuilder::new(name);
    graph.input("latent", &["n".into(), (PIXELS as i64).into()]);
    let weight = graph.initializer("weight", &[PIXELS as i64, N as i64], rows.as_flattened()).unwrap();
    let bias = graph.initializer("bias", &[N as i64], &bias).unwrap();
    graph.gemm("latent", &weight, &bias, "made");
    graph.output("made", &["n".into(), (N as i64).into()]);
    let mut model = graph.build();
    set_metadata(&mut model, LATENT_SPACE_KEY, space);
    DraftHead {
        name: name.into(),
        version,
        kind,
        model: encode(&model),
        inputs: vec!["latent".into()],
        output: tensor("made", N as u32),
        cost: Cost { parameters: 0, macs: 0 },
    }
}

fn picture() -> PictureSpec {
    PictureSpec::uniform(2, 2, Channels::Grey, 0.0, 1.0)
}

fn tensor(name: &str, values: u32) -> TensorSpec {
    TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(values)] }
}
