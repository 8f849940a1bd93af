//! One model cut in two at a tensor.
//!
//! ```text
//! inputs ──encoder──► at        at ──decoder──► outputs
//! ```
//! The encoder holds the nodes that `at` is computed from, the decoder those that the outputs are computed from
//! once `at` is given. Constants, that is initializers and nodes that read nothing but constants, belong to no half:
//! each half gets a copy of those it uses. Nodes that neither half needs are left out.
//!
//! Invariants: the halves keep the nodes' order; no other data node is in both; the decoder followed by nothing but
//! the encoder's `at` computes what the model computed.

use std::collections::BTreeSet;

use crate::{
    OnnxError,
    builder::float_value,
    graph::{Graph, Needs, Origin},
    proto::{GraphProto, ModelProto, ValueInfoProto},
};

/// Cuts a model at the tensor `at` into an encoder with `at` as its only output and a decoder with `at` as its only
/// data input and the model's outputs.
///
/// The type of `at` is taken from the graph's `value_info`; without one it is `f32` of any shape. Versions, operator
/// sets, functions, metadata and what is known of the tensors kept go to both halves; training information, which
/// refers to the whole graph, to none. Bodies of `If`, `Loop` and `Scan` stay whole, and what they capture counts
/// as their node's input. Inputs that are initializers too, as before IR version 4, count as initializers.
///
/// # Errors
/// [`OnnxError::UnknownTensor`], [`OnnxError::CutAtInput`], [`OnnxError::CutAtConstant`] or
/// [`OnnxError::CutAtOutput`] when `at` is no tensor between the inputs and the outputs;
/// [`OnnxError::IndependentOutput`] when an output is not computed from `at`; [`OnnxError::CrossedCut`] when the
/// outputs need anything else that is computed before `at` or is an input of the model; [`OnnxError::NoGraph`],
/// [`OnnxError::NoOutput`], [`OnnxError::DuplicateTensor`] or [`OnnxError::UndefinedTensor`] for a malformed model.
pub fn split(model: &ModelProto, at: &str) -> Result<(ModelProto, ModelProto), OnnxError> {
    let proto = model.graph.as_ref().ok_or(OnnxError::NoGraph)?;
    let graph = Graph::new(proto)?;
    check_tensor(&graph, at)?;
    check_outputs(&graph, at)?;

    let encoder = graph.needs(std::iter::once(at), &[]);
    let before_cut: Vec<bool> =
        encoder.nodes.iter().enumerate().map(|(node, &used)| used && !graph.is_constant(node)).collect();
    let decoder = graph.needs(proto.output.iter().map(ValueInfoProto::name), &before_cut);
    check_crossing(&graph, at, &decoder, &before_cut)?;

    let latent = latent_info(proto, at);
    let encoder = half(proto, &encoder, None, vec![latent.clone()]);
    let decoder = half(proto, &decoder, Some(latent), proto.output.clone());
    Ok((with_graph(model, encoder), with_graph(model, decoder)))
}

fn check_tensor(graph: &Graph<'_>, at: &str) -> Result<(), OnnxError> {
    let tensor = at.to_owned();
    match graph.origin(at) {
        None => Err(OnnxError::UnknownTensor { tensor }),
        Some(Origin::Input) => Err(OnnxError::CutAtInput { tensor }),
        Some(Origin::Initializer) => Err(OnnxError::CutAtConstant { tensor }),
        Some(Origin::Node(node)) if graph.is_constant(node) => Err(OnnxError::CutAtConstant { tensor }),
        Some(Origin::Node(_)) if graph.proto.output.iter().any(|output| output.name() == at) => {
            Err(OnnxError::CutAtOutput { tensor })
        }
        Some(Origin::Node(_)) => Ok(()),
    }
}

fn check_outputs(graph: &Graph<'_>, at: &str) -> Result<(), OnnxError> {
    if graph.proto.output.is_empty() {
        return Err(OnnxError::NoOutput);
    }
    let dependent = graph.downstream(at);
    match graph.proto.output.iter().find(|output| !dependent.contains(output.name())) {
        Some(output) => {
            let (tensor, output) = (at.to_owned(), output.name().to_owned());
            Err(OnnxError::IndependentOutput { tensor, output })
        }
        None => Ok(()),
    }
}

/// Whether `at` is all that the decoder needs besides constants.
fn check_crossing(
    graph: &Graph<'_>,
    at: &str,
    decoder: &Needs<'_>,
    before_cut: &[bool],
) -> Result<(), OnnxError> {
    let crosses = |tensor: &str| match graph.origin(tensor) {
        Some(Origin::Input) => true,
        Some(Origin::Node(node)) => before_cut[node] && tensor != at,
        Some(Origin::Initializer) | None => false,
    };
    let crossing: Vec<String> =
        decoder.tensors.iter().filter(|tensor| crosses(tensor)).map(|&tensor| tensor.to_owned()).collect();
    if crossing.is_empty() { Ok(()) } else { Err(OnnxError::CrossedCut { tensor: at.to_owned(), crossing }) }
}

fn latent_info(graph: &GraphProto, at: &str) -> ValueInfoProto {
    let known = graph.value_info.iter().find(|info| info.name() == at);
    known.cloned().unwrap_or_else(|| float_value(at, None))
}

/// The graph of the needed nodes and tensors.
fn half(
    graph: &GraphProto,
    needs: &Needs<'_>,
    latent: Option<ValueInfoProto>,
    output: Vec<ValueInfoProto>,
) -> GraphProto {
    let used = |name: &str| needs.tensors.contains(name);
    let quantization_annotation: Vec<_> =
        kept(&graph.quantization_annotation, |annotation| used(annotation.tensor_name()));
    let parameters: BTreeSet<&str> = quantization_annotation
        .iter()
        .flat_map(|annotation| &annotation.quant_parameter_tensor_names)
        .map(|entry| entry.value())
        .collect();
    let stored = |name: &str| used(name) || parameters.contains(name);
    let declared: BTreeSet<&str> = latent.iter().chain(&output).map(ValueInfoProto::name).collect();

    let nodes = graph.node.iter().zip(&needs.nodes).filter(|(_, needed)| **needed);
    GraphProto {
        node: nodes.map(|(node, _)| node.clone()).collect(),
        name: graph.name.clone(),
        initializer: kept(&graph.initializer, |tensor| stored(tensor.name())),
        sparse_initializer: kept(&graph.sparse_initializer, |sparse| {
            sparse.values.as_ref().is_some_and(|values| stored(values.name()))
        }),
        doc_string: graph.doc_string.clone(),
        value_info: kept(&graph.value_info, |info| used(info.name()) && !declared.contains(info.name())),
        input: latent.iter().cloned().chain(kept(&graph.input, |info| stored(info.name()))).collect(),
        output,
        quantization_annotation,
        metadata_props: graph.metadata_props.clone(),
    }
}

fn kept<T: Clone>(all: &[T], keep: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().filter(|item| keep(item)).cloned().collect()
}

/// The model around another graph; spelt out because cloning the whole would copy every weight.
fn with_graph(model: &ModelProto, graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: model.ir_version,
        producer_name: model.producer_name.clone(),
        producer_version: model.producer_version.clone(),
        domain: model.domain.clone(),
        model_version: model.model_version,
        doc_string: model.doc_string.clone(),
        graph: Some(graph),
        opset_import: model.opset_import.clone(),
        metadata_props: model.metadata_props.clone(),
        training_info: Vec::new(),
        functions: model.functions.clone(),
        configuration: model.configuration.clone(),
    }
}
