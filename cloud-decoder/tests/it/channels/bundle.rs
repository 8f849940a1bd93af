//! Bundles with a latent of two values, which the head multiplies by ten. Each encoder has its own latent
//! space.

use std::path::Path;

use lopside_bundle::{
    Dim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec, HeadKind, InputSpec, LATENT_SPACE_KEY,
    ModelCost, TensorSpec,
};
use lopside_latent::{IdOnWire, LatentSpaceId, Table, Tables};
use lopside_onnx::{GraphBuilder, encode_model, set_metadata};

const VALUES: u32 = 2;

/// Writes a bundle.
pub(crate) fn write(folder: &Path, name: &str, encoder: &[u8]) {
    draft(name, encoder).write(folder, "# Ten times\n").unwrap();
}

/// Returns the latent space of an encoder.
pub(crate) fn space(encoder: &[u8]) -> LatentSpaceId {
    draft("any", encoder).latent_space()
}

/// Returns the frame that a device with this encoder sends for two values, which are multiples of a tenth.
pub(crate) fn frame(encoder: &[u8], values: [f32; 2]) -> Vec<u8> {
    draft("any", encoder).build_space().unwrap().encode(&values, IdOnWire::Present).unwrap()
}

fn draft(name: &str, encoder: &[u8]) -> FixedLatentDraft {
    let mut draft = FixedLatentDraft {
        name: name.into(),
        description: "Products".into(),
        input: InputSpec::Tensor {},
        encoder: encoder.to_vec(),
        input_tensor: tensor("input"),
        encoder_cost: ModelCost { parameters: 0, macs: 2 },
        latent: vec![FixedLatentLayerSpec { tensor: tensor("latent"), gains: vec![10.0; VALUES as usize] }],
        tables: Tables::new(vec![Table::from_counts(0, &[1; 101]).unwrap(); VALUES as usize]).unwrap(),
        heads: Vec::new(),
    };
    draft.heads = vec![head(&draft.latent_space().to_string())];
    draft
}

fn head(space: &str) -> FixedLatentDraftHead {
    let mut graph = GraphBuilder::new("times");
    let latent = graph.add_input("latent", &["n".into(), i64::from(VALUES).into()]);
    let factor = graph.add_initializer("ten", &[1], &[10.0]).unwrap();
    graph.add_node("Mul", &[&latent, &factor], "product", &[]);
    graph.add_output("product", &["n".into(), i64::from(VALUES).into()]);
    let mut model = graph.build();
    set_metadata(&mut model, LATENT_SPACE_KEY, space);
    FixedLatentDraftHead {
        name: "times".into(),
        version: 1,
        kind: HeadKind::Tensor {},
        model: encode_model(&model),
        inputs: vec!["latent".into()],
        output: tensor("product"),
        cost: ModelCost { parameters: 1, macs: 2 },
    }
}

fn tensor(name: &str) -> TensorSpec {
    TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(VALUES)] }
}
