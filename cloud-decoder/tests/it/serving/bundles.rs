//! Bundles with a latent of two values, whose heads multiply the values by the head's version.

use std::path::Path;

use lopside_bundle::{
    Dim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec, HeadKind, InputSpec, LATENT_SPACE_KEY,
    ModelCost, TensorSpec,
};
use lopside_latent::{IdOnWire, Table, Tables};
use lopside_onnx::{GraphBuilder, encode_model, set_metadata};

/// Number of values of a latent.
pub(crate) const VALUES: usize = 2;

/// A head that multiplies by its version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
    /// Whether a run takes about 10 ms.
    pub(crate) slow: bool,
}

/// Returns a quick head.
pub(crate) const fn head(name: &'static str, version: u32) -> Head {
    Head { name, version, slow: false }
}

/// Writes a bundle. Each `encoder` has its own latent space.
pub(crate) fn write(folder: &Path, name: &str, encoder: &str, heads: &[Head]) {
    draft(name, encoder, heads).write(folder, "# Times\n").unwrap();
}

/// Returns a frame of two values, which are multiples of a tenth.
pub(crate) fn frame(encoder: &str, values: [f32; VALUES]) -> Vec<u8> {
    draft("any", encoder, &[head("times", 1)])
        .build_space()
        .unwrap()
        .encode(&values, IdOnWire::Present)
        .unwrap()
}

fn draft(name: &str, encoder: &str, heads: &[Head]) -> FixedLatentDraft {
    let mut draft = FixedLatentDraft {
        name: name.into(),
        description: "Products".into(),
        input: InputSpec::Tensor {},
        encoder: encoder.as_bytes().to_vec(),
        input_tensor: tensor("input"),
        encoder_cost: ModelCost { parameters: 0, macs: 2 },
        latent: vec![FixedLatentLayerSpec { tensor: tensor("latent"), gains: vec![10.0; VALUES] }],
        tables: Tables::new(vec![Table::from_counts(0, &[1; 101]).unwrap(); VALUES]).unwrap(),
        heads: heads.iter().map(|head| draft_head(*head, "")).collect(),
    };
    let space = draft.latent_space().to_string();
    draft.heads = heads.iter().map(|head| draft_head(*head, &space)).collect();
    draft
}

fn draft_head(head: Head, space: &str) -> FixedLatentDraftHead {
    FixedLatentDraftHead {
        name: head.name.into(),
        version: head.version,
        kind: HeadKind::Tensor {},
        model: model(head, space),
        inputs: vec!["latent".into()],
        output: tensor("product"),
        cost: ModelCost { parameters: 1, macs: 2 },
    }
}

fn tensor(name: &str) -> TensorSpec {
    TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(VALUES as u32)] }
}

fn model(head: Head, space: &str) -> Vec<u8> {
    let mut graph = GraphBuilder::new("times");
    let mut latent = graph.add_input("latent", &["n".into(), 2.into()]);
    if head.slow {
        latent = detour(&mut graph, &latent);
    }
    let factor = graph.add_initializer("factor", &[1], &[head.version as f32]).unwrap();
    graph.add_node("Mul", &[&latent, &factor], "product", &[]);
    graph.add_output("product", &["n".into(), 2.into()]);
    let mut model = graph.build();
    set_metadata(&mut model, LATENT_SPACE_KEY, space);
    encode_model(&model)
}

/// Adds many multiplications with a result of 0, which take time and do not change the values.
fn detour(graph: &mut GraphBuilder, latent: &str) -> String {
    const WIDTH: usize = 512;
    let zeros = graph.add_initializer("widen", &[2, WIDTH as i64], &[0.0; 2 * WIDTH]).unwrap();
    let square = graph.add_initializer("square", &[WIDTH as i64; 2], &vec![0.0; WIDTH * WIDTH]).unwrap();
    let narrow = graph.add_initializer("narrow", &[WIDTH as i64, 2], &[0.0; 2 * WIDTH]).unwrap();
    let mut wide = graph.add_node("MatMul", &[latent, &zeros], "wide", &[]);
    for step in 0..200 {
        wide = graph.add_node("MatMul", &[&wide, &square], &format!("step{step}"), &[]);
    }
    let zero = graph.add_node("MatMul", &[&wide, &narrow], "nothing", &[]);
    graph.add_node("Add", &[latent, &zero], "same", &[])
}
