//! Cuts one model in two, at one tensor or at several.
//!
//! ```text
//! inputs ──encoder──► at        at ──decoder──► outputs
//! ```
//! The encoder holds the nodes that `at` is computed from; the decoder holds the nodes that the outputs are
//! computed from once `at` is given. Constants, which are initializers and nodes that read nothing but
//! constants, belong to neither half: each half receives a copy of the constants that it uses. Nodes that
//! neither half needs are left out.
//!
//! Invariants: the halves keep the nodes' order; only constant nodes are in both halves; the encoder followed
//! by the decoder computes the same function as the model.

use std::collections::BTreeSet;

use crate::{
    OnnxError,
    builder::{Dim, float_value_info},
    fold::fold_shapes,
    graph::{Graph, Origin, RequiredSubgraph, checked_graph},
    proto::{
        GraphProto, ModelProto, StringStringEntryProto, ValueInfoProto, tensor_shape_proto::dimension,
        type_proto,
    },
    symbolic::{Extent, SymbolicShapes},
    types::ElementTypes,
};

/// Cuts a model at one tensor into an encoder with this tensor as its only output and a decoder with it as its
/// only data input and the model's outputs. Equivalent to [`split_at`] with one tensor.
///
/// # Errors
/// The errors of [`split_at`].
pub fn split_model(model: &ModelProto, tensor: &str) -> Result<(ModelProto, ModelProto), OnnxError> {
    split_at(model, &[tensor])
}

/// Cuts a model at several tensors, which together must be all that its second half needs. They become the
/// encoder's outputs and the decoder's data inputs, in this order: the first is the base layer, the others
/// are enhancement layers.
///
/// The type and shape of a tensor are taken from the graph's `value_info`; without an entry there they are
/// derived from the preceding operators. An element type that cannot be derived is taken to be `f32`. A shape
/// that cannot be derived is left undeclared, which runtimes accept but ONNX's own checker does not.
///
/// Versions, operator sets, functions, metadata and the known types and shapes of the retained tensors go to
/// both halves; training information, which refers to the whole graph, goes to neither. Bodies of `If`,
/// `Loop` and `Scan` stay whole, and the tensors that they capture count as their node's inputs. Inputs that
/// are also initializers, as before IR version 4, count as initializers. A `Shape` node whose result the
/// model's declared dimensions determine becomes a constant.
///
/// # Errors
/// [`OnnxError::UnknownTensor`], [`OnnxError::CutAtInput`], [`OnnxError::CutAtConstant`] or
/// [`OnnxError::CutAtOutput`] when `tensors` is empty or one of its names is not a tensor between the inputs and
/// the outputs; [`OnnxError::RepeatedCut`] for a tensor given twice; [`OnnxError::IndependentOutput`] when an
/// output is computed from none of the tensors; [`OnnxError::IncompleteCut`] when the outputs need anything else
/// that is computed before the cut or is an input of the model; [`OnnxError::SuperfluousCut`] for a tensor that
/// the others make superfluous; [`OnnxError::UnsupportedOpset`], [`OnnxError::NoGraph`], [`OnnxError::NoOutput`],
/// [`OnnxError::DuplicateTensor`] or [`OnnxError::UndefinedTensor`] for a malformed model.
pub fn split_at(model: &ModelProto, tensors: &[&str]) -> Result<(ModelProto, ModelProto), OnnxError> {
    let proto = fold_shapes(checked_graph(model)?);
    let graph = Graph::new(&proto)?;
    check_tensors(&graph, tensors)?;
    check_outputs(&graph, tensors)?;

    let encoder = graph.required_by(tensors.iter().copied(), &[]);
    if !encoder.tensors.iter().any(|tensor| graph.origin(tensor) == Some(Origin::Input)) {
        return Err(OnnxError::CutAtConstant { tensor: join_names(tensors) });
    }
    let before_cut: Vec<bool> = encoder
        .nodes
        .iter()
        .enumerate()
        .map(|(node, &is_used)| is_used && !graph.is_constant(node))
        .collect();
    let decoder = graph.required_by(proto.output.iter().map(ValueInfoProto::name), &before_cut);
    check_crossing(&graph, tensors, &decoder, &before_cut)?;

    let types = ElementTypes::new(&proto);
    let extents = SymbolicShapes::new(&proto, &[], tensors);
    let latents: Vec<_> =
        tensors.iter().map(|tensor| latent_info(&proto, tensor, &types, &extents)).collect();
    let encoder = extract_half(&proto, &encoder, &[], latents.clone());
    let decoder = extract_half(&proto, &decoder, &latents, proto.output.clone());
    Ok((with_graph(model, encoder), with_graph(model, decoder)))
}

fn check_tensors(graph: &Graph<'_>, tensors: &[&str]) -> Result<(), OnnxError> {
    if tensors.is_empty() {
        return Err(OnnxError::UnknownTensor { tensor: String::new() });
    }
    for (index, tensor) in tensors.iter().enumerate() {
        check_tensor(graph, tensor)?;
        if tensors[..index].contains(tensor) {
            return Err(OnnxError::RepeatedCut { tensor: (*tensor).to_owned() });
        }
    }
    Ok(())
}

fn check_tensor(graph: &Graph<'_>, name: &str) -> Result<(), OnnxError> {
    let tensor = name.to_owned();
    match graph.origin(name) {
        None => Err(OnnxError::UnknownTensor { tensor }),
        Some(Origin::Input) => Err(OnnxError::CutAtInput { tensor }),
        Some(Origin::Initializer) => Err(OnnxError::CutAtConstant { tensor }),
        Some(Origin::Node(node)) if graph.is_constant(node) => Err(OnnxError::CutAtConstant { tensor }),
        Some(Origin::Node(_)) if graph.proto.output.iter().any(|output| output.name() == name) => {
            Err(OnnxError::CutAtOutput { tensor })
        }
        Some(Origin::Node(_)) => Ok(()),
    }
}

fn check_outputs(graph: &Graph<'_>, tensors: &[&str]) -> Result<(), OnnxError> {
    if graph.proto.output.is_empty() {
        return Err(OnnxError::NoOutput);
    }
    let dependent = graph.dependent_tensors(tensors);
    match graph.proto.output.iter().find(|output| !dependent.contains(output.name())) {
        Some(output) => Err(OnnxError::IndependentOutput {
            tensor: join_names(tensors),
            output: output.name().to_owned(),
        }),
        None => Ok(()),
    }
}

/// Checks that the decoder needs no tensor besides `tensors` and constants, and that it needs every tensor of
/// `tensors`.
fn check_crossing(
    graph: &Graph<'_>,
    tensors: &[&str],
    decoder: &RequiredSubgraph<'_>,
    before_cut: &[bool],
) -> Result<(), OnnxError> {
    let crossing = decoder.tensors.iter().filter(|&&tensor| match graph.origin(tensor) {
        Some(Origin::Input) => true,
        Some(Origin::Node(node)) => before_cut[node] && !tensors.contains(&tensor),
        Some(Origin::Initializer) | None => false,
    });
    let crossing: Vec<String> = crossing.map(|&tensor| tensor.to_owned()).collect();
    if !crossing.is_empty() {
        let inputs = crossing.iter().filter(|tensor| graph.origin(tensor) == Some(Origin::Input));
        let inputs = inputs.cloned().collect();
        return Err(OnnxError::IncompleteCut { tensor: join_names(tensors), crossing, inputs });
    }
    match tensors.iter().find(|tensor| !decoder.tensors.contains(*tensor)) {
        Some(tensor) => Err(OnnxError::SuperfluousCut { tensor: (*tensor).to_owned() }),
        None => Ok(()),
    }
}

fn join_names(names: &[&str]) -> String {
    names.join("`, `")
}

/// Returns the declared or derived type and shape of a tensor of the cut.
fn latent_info(
    graph: &GraphProto,
    name: &str,
    types: &ElementTypes<'_>,
    extents: &SymbolicShapes<'_>,
) -> ValueInfoProto {
    if let Some(declared) = graph.value_info.iter().find(|info| info.name() == name) {
        return declared.clone();
    }
    let dims: Option<Vec<Dim>> = extents
        .shape_of(name)
        .map(|extents| extents.iter().map(|extent| declare_dim(graph, extent)).collect());
    let mut info = float_value_info(name, dims.as_deref());
    if let Some(type_proto::Value::TensorType(tensor)) =
        info.r#type.as_mut().and_then(|kind| kind.value.as_mut())
    {
        tensor.elem_type = types.type_of(name).or(tensor.elem_type);
        for dim in tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim) {
            dim.value = dim.value.take().filter(|value| *value != dimension::Value::DimParam(String::new()));
        }
    }
    info
}

/// Returns the dimension to declare for an extent. Only symbols that the model itself declares are written,
/// because runtimes take a symbol as the promise that all extents with it are equal.
fn declare_dim(graph: &GraphProto, extent: &Extent) -> Dim {
    match extent {
        Extent::Fixed(extent) => i64::try_from(*extent).map_or(Dim::Symbol(String::new()), Dim::Fixed),
        Extent::Linear { symbol, numerator: 1, denominator: 1, offset: 0 }
            if declares_symbol(graph, symbol) =>
        {
            Dim::Symbol(symbol.clone())
        }
        Extent::Linear { .. } | Extent::Unknown => Dim::Symbol(String::new()),
    }
}

/// Returns whether an input has a dimension with this symbol.
fn declares_symbol(graph: &GraphProto, symbol: &str) -> bool {
    let dims = graph.input.iter().filter_map(|input| match input.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => tensor.shape.as_ref(),
        _ => None,
    });
    dims.flat_map(|shape| &shape.dim)
        .any(|dim| matches!(&dim.value, Some(dimension::Value::DimParam(name)) if name == symbol))
}

/// Returns the graph of the needed nodes and tensors.
fn extract_half(
    graph: &GraphProto,
    required: &RequiredSubgraph<'_>,
    latents: &[ValueInfoProto],
    output: Vec<ValueInfoProto>,
) -> GraphProto {
    let quantization_annotation: Vec<_> = clone_matching(&graph.quantization_annotation, |annotation| {
        required.tensors.contains(annotation.tensor_name())
    });
    let mut stored: BTreeSet<&str> = required.tensors.clone();
    stored.extend(
        quantization_annotation
            .iter()
            .flat_map(|annotation| &annotation.quant_parameter_tensor_names)
            .map(StringStringEntryProto::value),
    );
    let declared: BTreeSet<&str> = latents.iter().chain(&output).map(ValueInfoProto::name).collect();

    let nodes = graph.node.iter().zip(&required.nodes).filter(|(_, is_required)| **is_required);
    GraphProto {
        node: nodes.map(|(node, _)| node.clone()).collect(),
        name: graph.name.clone(),
        initializer: clone_matching(&graph.initializer, |tensor| stored.contains(tensor.name())),
        sparse_initializer: clone_matching(&graph.sparse_initializer, |sparse| {
            sparse.values.as_ref().is_some_and(|values| stored.contains(values.name()))
        }),
        doc_string: graph.doc_string.clone(),
        value_info: clone_matching(&graph.value_info, |info| {
            required.tensors.contains(info.name()) && !declared.contains(info.name())
        }),
        input: latents
            .iter()
            .cloned()
            .chain(clone_matching(&graph.input, |info| required.tensors.contains(info.name())))
            .collect(),
        output,
        quantization_annotation,
        metadata_props: graph.metadata_props.clone(),
    }
}

fn clone_matching<T: Clone>(items: &[T], is_kept: impl Fn(&T) -> bool) -> Vec<T> {
    items.iter().filter(|item| is_kept(item)).cloned().collect()
}

/// Returns the model with another graph. The fields are listed because cloning the whole model would copy
/// every weight.
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

#[cfg(test)]
mod tests;
