//! Models that keep values in another file: refused wherever the tensor is, and whatever damage surrounds it.

use std::path::Path;

use lopside_bundle::{BundleError, BundlePart, FixedLatentBundle};
use lopside_onnx::{
    Dim, GraphBuilder, decode_model, encode_model, load_external_data,
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto,
        StringStringEntryProto, TensorProto, TrainingInfoProto, tensor_proto::DataLocation,
    },
};
use proptest::prelude::*;

use super::bundles::draft;

/// Returns a tensor whose values are in a file outside of the bundle.
fn external() -> TensorProto {
    let entry = StringStringEntryProto { key: Some("location".into()), value: Some("/etc/passwd".into()) };
    TensorProto {
        name: Some("secret".into()),
        dims: vec![4],
        data_type: Some(1),
        data_location: Some(DataLocation::External.into()),
        external_data: vec![entry],
        ..TensorProto::default()
    }
}

fn sparse() -> SparseTensorProto {
    SparseTensorProto { values: Some(external()), ..SparseTensorProto::default() }
}

/// Returns a model that computes something, with all values in it.
fn complete() -> ModelProto {
    let mut graph = GraphBuilder::new("head");
    let x = graph.add_input("latent", &[Dim::from("n"), 2.into()]);
    let weight = graph.add_initializer("weight", &[2, 3], &[0.5; 6]).unwrap();
    let bias = graph.add_initializer("bias", &[3], &[0.0; 3]).unwrap();
    let y = graph.gemm(&x, &weight, &bias, "logits");
    graph.add_output(&y, &[Dim::from("n"), 3.into()]);
    graph.build()
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

fn node(attribute: AttributeProto) -> NodeProto {
    NodeProto { op_type: Some("If".into()), attribute: vec![attribute], ..NodeProto::default() }
}

fn subgraph() -> GraphProto {
    GraphProto { initializer: vec![external()], ..GraphProto::default() }
}

/// Returns a complete model to which an external tensor was added in each place that can have one.
fn models() -> Vec<ModelProto> {
    type Change = fn(&mut ModelProto);
    let attributes: [fn(&mut AttributeProto); 6] = [
        |attribute| attribute.t = Some(external()),
        |attribute| attribute.tensors = vec![TensorProto::default(), external()],
        |attribute| attribute.g = Some(subgraph()),
        |attribute| attribute.graphs = vec![GraphProto::default(), subgraph()],
        |attribute| attribute.sparse_tensor = Some(sparse()),
        |attribute| attribute.sparse_tensors = vec![sparse()],
    ];
    let places: [Change; 6] = [
        |model| graph(model).initializer.push(external()),
        |model| graph(model).sparse_initializer.push(sparse()),
        |model| {
            let sparse = SparseTensorProto { indices: Some(external()), ..SparseTensorProto::default() };
            graph(model).sparse_initializer.push(sparse);
        },
        |model| {
            let inner = AttributeProto { g: Some(subgraph()), ..AttributeProto::default() };
            let middle = GraphProto { node: vec![node(inner)], ..GraphProto::default() };
            graph(model).node.push(node(AttributeProto { g: Some(middle), ..AttributeProto::default() }));
        },
        |model| {
            let training =
                TrainingInfoProto { initialization: Some(subgraph()), ..TrainingInfoProto::default() };
            model.training_info.push(training);
        },
        |model| {
            let training = TrainingInfoProto { algorithm: Some(subgraph()), ..TrainingInfoProto::default() };
            model.training_info.push(training);
        },
    ];
    let mut models = Vec::new();
    for change in attributes {
        let mut attribute = AttributeProto::default();
        change(&mut attribute);
        let mut model = complete();
        graph(&mut model).node.push(node(attribute.clone()));
        models.push(model);
        let call = FunctionProto { node: vec![node(attribute.clone())], ..FunctionProto::default() };
        let default = FunctionProto { attribute_proto: vec![attribute], ..FunctionProto::default() };
        models.extend([call, default].map(|function| ModelProto { functions: vec![function], ..complete() }));
    }
    for change in places {
        let mut model = complete();
        change(&mut model);
        models.push(model);
    }
    models
}

/// Writes a bundle with this model as the encoder or as a head, and loads it.
fn load(folder: &Path, model: &[u8], is_encoder: bool) -> Result<(), BundleError> {
    let mut draft = draft();
    if is_encoder {
        draft.encoder = model.to_vec();
    } else {
        draft.heads[1].model = model.to_vec();
    }
    draft.write(folder, "# Toy\n").unwrap();
    let part = if is_encoder { BundlePart::Encoder } else { BundlePart::Heads };
    FixedLatentBundle::load(folder, part).map(drop)
}

/// Returns whether a model that another reader understands has an external tensor.
fn has_external_data(model: &[u8]) -> bool {
    decode_model(model).is_ok_and(|mut model| {
        load_external_data(&mut model, &mut |_, _, _| Err("files are not read".into())).is_err()
    })
}

#[test]
fn a_complete_model_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    for is_encoder in [true, false] {
        load(folder.path(), &encode_model(&complete()), is_encoder).unwrap();
    }
}

#[test]
fn external_data_is_refused_in_every_place_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let models = models();
    assert_eq!(models.len(), 24);
    for model in models {
        let bytes = encode_model(&model);
        assert!(has_external_data(&bytes), "{model:?}");
        for (is_encoder, expected) in [(true, "encoder.onnx"), (false, "heads/classify-1.onnx")] {
            let error = load(folder.path(), &bytes, is_encoder).unwrap_err();
            assert!(
                matches!(&error, BundleError::ExternalData { path, tensor } if path == expected && tensor == "secret"),
                "{error}: {model:?}"
            );
        }
    }
}

#[test]
fn a_model_that_a_host_does_not_need_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = complete();
    graph(&mut model).initializer.push(external());
    load(folder.path(), &encode_model(&model), false).unwrap_err();
    FixedLatentBundle::load(folder.path(), BundlePart::Encoder).unwrap();
    FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap_err();
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = encode_model(&complete());
    for model in [&b"GIF89a"[..], &bytes[..bytes.len() - 1]] {
        let error = load(folder.path(), model, true).unwrap_err();
        assert!(
            matches!(&error, BundleError::UnreadableModel { path, .. } if path == "encoder.onnx"),
            "{error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damage_never_panics_and_never_hides_external_data(
        index in 0_usize..24,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u32..8), 0..4),
        removed in prop::option::of((any::<prop::sample::Index>(), 1_usize..4)),
        end in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = encode_model(&models().swap_remove(index));
        for (position, bit) in flips {
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
        }
        if let Some((start, count)) = removed {
            let start = start.index(bytes.len());
            bytes.drain(start..(start + count).min(bytes.len()));
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len() + 1));
        }
        let folder = tempfile::tempdir().unwrap();
        if load(folder.path(), &bytes, false).is_ok() {
            prop_assert!(!has_external_data(&bytes));
        }
    }
}
