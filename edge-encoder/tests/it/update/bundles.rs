//! Bundles that encode four pixels as four numbers, and their faulty variants.

use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};
use lopside_bundle::{
    AnyManifest, BundlePart, Channels, Dim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec,
    GoldenInputDraft, HeadKind, ImageSpec, InputSpec, ModelCost, TensorSpec, TimeSeriesSpec,
    image_codec::AnyBundle, put_golden_inputs,
};
use lopside_encoder::{AnyEncoder, EncodeOptions, ImageCodecOptions, golden::first_input};
use lopside_latent::{IdOnWire, LatentSpaceId, Table, Tables, image_codec::Quality};
use lopside_onnx::{Attribute, GraphBuilder, encode_model};

/// Data types in the numbering of ONNX.
const FLOAT: Attribute = Attribute::Int(1);
const INT32: Attribute = Attribute::Int(6);

/// The computation of the encoder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Toy {
    /// Multiplies each pixel by a factor.
    Times(f32),
    /// Divides the square of each pixel by the pixel, which does not give a number for a black pixel.
    Fragile,
    /// Returns its input, which is a window of measurements.
    Window,
    /// Repeats its input until it takes 4 GiB.
    Huge,
    /// Multiplies matrices for minutes.
    Slow,
    /// Divides an integer by zero, at which tract panics.
    Panicking,
}

impl Toy {
    /// Returns whether a test can run the encoder in its own process.
    fn is_harmless(self) -> bool {
        matches!(self, Self::Times(_) | Self::Fragile | Self::Window)
    }
}

/// Writes a bundle with golden inputs into a folder of this name.
pub(crate) fn bundle(root: &Path, name: &str, toy: Toy) -> PathBuf {
    let folder = root.join(name);
    draft(toy).write(&folder, "# Toy\n").unwrap();
    let input = root.join(if matches!(toy, Toy::Window) { "bright.csv" } else { "bright.png" });
    match toy {
        Toy::Window => std::fs::write(&input, "0.2,0.4,0.6,0.8\n").unwrap(),
        _ => pixel_image([200, 100, 50, 25]).save(&input).unwrap(),
    }
    let golden = if toy.is_harmless() { golden(&folder, &input) } else { invented_golden(&folder, &input) };
    put_golden_inputs(&folder, &[golden]).unwrap();
    folder
}

/// Replaces the golden frame of a bundle by that of another image.
pub(crate) fn set_wrong_golden(folder: &Path) {
    let other = folder.with_extension("png");
    pixel_image([25, 50, 100, 200]).save(&other).unwrap();
    let mut wrong = golden(folder, &other);
    wrong.input = std::fs::read(folder.join("golden/bright.png")).unwrap();
    put_golden_inputs(folder, &[GoldenInputDraft { name: "bright.png".into(), ..wrong }]).unwrap();
}

/// Restores the correct golden frame of a bundle.
pub(crate) fn restore_golden(folder: &Path) {
    put_golden_inputs(folder, &[golden(folder, &folder.join("golden/bright.png"))]).unwrap();
}

pub(crate) fn remove_golden(folder: &Path) {
    put_golden_inputs(folder, &[]).unwrap();
}

pub(crate) fn latent_space(folder: &Path) -> LatentSpaceId {
    AnyManifest::read(folder).unwrap().latent_space()
}

pub(crate) fn pixel_image(pixels: [u8; 4]) -> GrayImage {
    GrayImage::from_fn(2, 2, |x, y| Luma([pixels[(2 * y + x) as usize]]))
}

fn golden(folder: &Path, input: &Path) -> GoldenInputDraft {
    let image_codec = ImageCodecOptions::new(Quality::new(50).unwrap());
    let bundle = AnyBundle::load(folder, BundlePart::Encoder).unwrap();
    let encoder = AnyEncoder::new(&bundle, &EncodeOptions { image_codec, use_fast: false }).unwrap();
    let frame = encoder.encode(&first_input(&encoder, input).unwrap(), IdOnWire::Present).unwrap().frame;
    let name = input.file_name().unwrap().to_string_lossy().into_owned();
    GoldenInputDraft { name, input: std::fs::read(input).unwrap(), frame }
}

/// Returns a golden input whose frame is valid, but was not computed.
fn invented_golden(folder: &Path, input: &Path) -> GoldenInputDraft {
    let AnyBundle::FixedLatent(bundle) = AnyBundle::load(folder, BundlePart::Encoder).unwrap() else {
        panic!("the toy has a fixed latent");
    };
    let frame = bundle.space.encode_integers(&[0; 4], IdOnWire::Present).unwrap();
    let name = input.file_name().unwrap().to_string_lossy().into_owned();
    GoldenInputDraft { name, input: std::fs::read(input).unwrap(), frame }
}

fn tensor(name: &str) -> TensorSpec {
    TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(4)] }
}

fn draft(toy: Toy) -> FixedLatentDraft {
    let cost = ModelCost { parameters: 0, macs: 0 };
    let head = FixedLatentDraftHead {
        name: "reconstruct".into(),
        version: 1,
        kind: HeadKind::Tensor {},
        model: b"not for the edge".to_vec(),
        inputs: vec!["latent".into()],
        output: tensor("out"),
        cost,
    };
    FixedLatentDraft {
        name: "toy".into(),
        description: "Four numbers for four pixels".into(),
        input: match toy {
            Toy::Window => InputSpec::Series(TimeSeriesSpec {
                length: 1,
                stride: 1,
                channels: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
                mean: vec![0.0; 4],
                deviation: vec![1.0; 4],
            }),
            _ => InputSpec::Picture(ImageSpec::with_uniform_range(2, 2, Channels::Grey, 0.0, 1.0)),
        },
        encoder: model(toy),
        input_tensor: tensor("image"),
        encoder_cost: cost,
        latent: vec![FixedLatentLayerSpec { tensor: tensor("latent"), gains: vec![100.0; 4] }],
        tables: Tables::new(vec![Table::from_counts(0, &[1]).unwrap(); 4]).unwrap(),
        heads: vec![head],
    }
}

/// Repeats the four values of `x`.
fn repeat(graph: &mut GraphBuilder, x: &str, times: i64) -> String {
    let repeats = graph.add_integers("repeats", &[1, times]);
    graph.add_node("Tile", &[x, &repeats], "repeated", &[])
}

/// Adds the largest of these values to `x`, as the latent.
fn add_largest(graph: &mut GraphBuilder, x: &str, values: &str, axes: &[i64]) {
    let axes = [("axes", Attribute::Ints(axes.to_vec()))];
    let largest = graph.add_node("ReduceMax", &[values], "largest", &axes);
    graph.add_node("Add", &[x, &largest], "latent", &[]);
}

fn model(toy: Toy) -> Vec<u8> {
    let mut graph = GraphBuilder::new("toy");
    let x = graph.add_input("image", &["n".into(), 4.into()]);
    match toy {
        Toy::Times(factor) => {
            let factor = graph.add_initializer("factor", &[1], &[factor]).unwrap();
            graph.add_node("Mul", &[&x, &factor], "latent", &[]);
        }
        Toy::Fragile => {
            let square = graph.add_node("Mul", &[&x, &x], "square", &[]);
            graph.add_node("Div", &[&square, &x], "latent", &[]);
        }
        Toy::Window => {
            let factor = graph.add_initializer("factor", &[1], &[1.0]).unwrap();
            graph.add_node("Mul", &[&x, &factor], "latent", &[]);
        }
        Toy::Huge => {
            let repeated = repeat(&mut graph, &x, 1 << 28);
            add_largest(&mut graph, &x, &repeated, &[1]);
        }
        Toy::Slow => {
            let repeated = repeat(&mut graph, &x, 1 << 20);
            let mut product = graph.reshape(&repeated, &[2048, 2048], "square");
            for number in 0..300 {
                let name = format!("product-{number}");
                product = graph.add_node("MatMul", &[&product, &product], &name, &[]);
            }
            add_largest(&mut graph, &x, &product, &[0, 1]);
        }
        Toy::Panicking => {
            let integers = graph.add_node("Cast", &[&x], "integers", &[("to", INT32)]);
            let zero = graph.add_integers("long-zero", &[0]);
            let zero = graph.add_node("Cast", &[&zero], "zero", &[("to", INT32)]);
            let quotient = graph.add_node("Div", &[&integers, &zero], "quotient", &[]);
            graph.add_node("Cast", &[&quotient], "latent", &[("to", FLOAT)]);
        }
    }
    graph.add_output("latent", &["n".into(), 4.into()]);
    encode_model(&graph.build())
}
