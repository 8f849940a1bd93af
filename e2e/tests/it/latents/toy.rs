//! Bundles with a few numbers, whose results can be computed by hand.

use std::{fs, path::Path};

use lopside_bundle::{
    Dim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec, HeadKind, InputSpec, ModelCost,
    Quantiles, ScorePartSource, ScorePartSpec, TensorSpec,
};
use lopside_e2e::{binary_command, run_failing, run_stdout};
use lopside_latent::{Table, Tables};
use lopside_onnx::{GraphBuilder, encode_model};
use lopside_proto::v1::{DecodeRequest, Input, OutputRequest};
use serde_json::Value;

/// The gain of every latent value.
pub(crate) const GAIN: f32 = 10.0;

pub(crate) fn tensor(name: &str, dims: &[u32]) -> TensorSpec {
    let dims = dims.iter().copied().map(Dim::Fixed);
    TensorSpec { name: name.into(), shape: std::iter::once(Dim::Symbol("n".into())).chain(dims).collect() }
}

fn onnx_dims(tensor: &TensorSpec) -> Vec<lopside_onnx::Dim> {
    let dim = |dim: &Dim| match dim {
        Dim::Symbol(symbol) => symbol.as_str().into(),
        Dim::Fixed(extent) => i64::from(*extent).into(),
    };
    tensor.shape.iter().map(dim).collect()
}

/// Creates a graph with these inputs.
pub(crate) fn graph(inputs: &[&TensorSpec]) -> GraphBuilder {
    let mut graph = GraphBuilder::new("toy");
    for input in inputs {
        graph.add_input(&input.name, &onnx_dims(input));
    }
    graph
}

/// Adds the product of `x [n, rows]` with a matrix, which is given by its rows.
pub(crate) fn product<const N: usize>(graph: &mut GraphBuilder, x: &str, rows: &[[f32; N]], name: &str) {
    let dims = [rows.len() as i64, N as i64];
    let weight = graph.add_initializer(&format!("{name}.weight"), &dims, rows.as_flattened()).unwrap();
    let bias = graph.add_initializer(&format!("{name}.bias"), &[N as i64], &[0.0; N]).unwrap();
    graph.gemm(x, &weight, &bias, name);
}

/// Returns the identity matrix for `N` values.
pub(crate) fn identity<const N: usize>() -> [[f32; N]; N] {
    std::array::from_fn(|row| std::array::from_fn(|column| f32::from(u8::from(row == column))))
}

/// Encodes the model with these outputs.
pub(crate) fn model(mut graph: GraphBuilder, outputs: &[&TensorSpec]) -> Vec<u8> {
    for output in outputs {
        graph.add_output(&output.name, &onnx_dims(output));
    }
    encode_model(&graph.build())
}

/// Returns a layer with one gain and one table per value; see [`draft`] for the bits of the values.
pub(crate) fn layer(tensor: TensorSpec) -> FixedLatentLayerSpec {
    let gains = vec![GAIN; tensor.item_elements().unwrap() as usize];
    FixedLatentLayerSpec { tensor, gains }
}

pub(crate) fn head(
    name: &str,
    kind: HeadKind,
    inputs: &[&str],
    output: TensorSpec,
    model: Vec<u8>,
) -> FixedLatentDraftHead {
    let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
    FixedLatentDraftHead {
        name: name.into(),
        version: 1,
        kind,
        model,
        inputs,
        output,
        cost: ModelCost { parameters: 0, macs: 0 },
    }
}

/// Returns a bundle without heads, whose tables list only 0. A 0 takes almost no bits; any other integer
/// takes 16 bits for the escape, one for the sign, and the Exp-Golomb code of the magnitude.
pub(crate) fn draft(
    input: InputSpec,
    input_tensor: TensorSpec,
    encoder: Vec<u8>,
    latent: Vec<FixedLatentLayerSpec>,
) -> FixedLatentDraft {
    let count = latent.iter().map(|layer| layer.gains.len()).sum();
    FixedLatentDraft {
        name: "toy".into(),
        description: "A few numbers".into(),
        input,
        encoder,
        input_tensor,
        encoder_cost: ModelCost { parameters: 0, macs: 0 },
        latent,
        tables: Tables::new(vec![Table::from_counts(0, &[1]).unwrap(); count]).unwrap(),
        heads: Vec::new(),
    }
}

/// Returns a part that is divided by `deviation`; its normal samples are 0 to 100.
pub(crate) fn part(name: &str, source: ScorePartSource, deviation: f32) -> ScorePartSpec {
    ScorePartSpec { name: name.into(), source, weight: 1.0, mean: 0.0, deviation, quantiles: even(100.0) }
}

/// Returns the quantiles of normal samples that are evenly distributed from 0 to `max`.
pub(crate) fn even(max: f32) -> Quantiles {
    Quantiles::from_samples(&[0.0, max], 2).unwrap()
}

/// Returns a request to decode these frames with the heads of these names.
pub(crate) fn request(frames: Vec<Vec<u8>>, heads: &[&str], inputs: Vec<Input>) -> DecodeRequest {
    let output = |head: &&str| OutputRequest { head: (*head).into(), format: 0, version: 0 };
    DecodeRequest {
        frames: frames.into_iter().map(Into::into).collect(),
        bundle: "toy".into(),
        outputs: heads.iter().map(output).collect(),
        inputs,
    }
}

/// Returns the command `edge-encoder COMMAND --bundle bundle --out out ARGS` in the folder; `inspect` does
/// not have `--out`.
pub(crate) fn edge(folder: &Path, command: &str, args: &[&str]) -> std::process::Command {
    let mut edge = binary_command("edge-encoder");
    edge.current_dir(folder).arg(command).args(["--bundle", "bundle"]);
    if command != "inspect" {
        edge.args(["--out", "out"]);
    }
    edge.args(args);
    edge
}

pub(crate) fn json(folder: &Path, command: &str, args: &[&str]) -> Value {
    serde_json::from_str(&run_stdout(edge(folder, command, args).arg("--json"))).unwrap()
}

/// Returns the error message of `encode` for a file with this text.
pub(crate) fn refusal(folder: &Path, name: &str, text: &[u8]) -> String {
    fs::write(folder.join(name), text).unwrap();
    run_failing(&mut edge(folder, "encode", &[name]))
}

/// Returns a `.npy` file of 32-bit floats.
pub(crate) fn npy(dims: &[usize], values: &[f32]) -> Vec<u8> {
    let dims: String = dims.iter().map(|dim| format!("{dim}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({dims}), }}");
    header.extend(std::iter::repeat_n(' ', 64 - (11 + header.len()) % 64));
    header.push('\n');
    let values = values.iter().flat_map(|value| value.to_le_bytes());
    let len = (header.len() as u16).to_le_bytes();
    b"\x93NUMPY\x01\x00".iter().copied().chain(len).chain(header.into_bytes()).chain(values).collect()
}

/// Returns whether two numbers are equal except for the rounding of 32-bit floats.
pub(crate) fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-4
}
