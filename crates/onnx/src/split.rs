//! One model cut in two, at one tensor or at several.
//!
//! ```text
//! inputs ──encoder──► at        at ──decoder──► outputs
//! ```
//! The encoder holds the nodes that `at` is computed from, the decoder those that the outputs are computed from
//! once `at` is given. Constants, that is initializers and nodes that read nothing but constants, belong to no half:
//! each half gets a copy of those it uses. Nodes that neither half needs are left out.
//!
//! Invariants: the halves keep the nodes' order; only constant nodes are in both; the encoder and then the decoder
//! compute what the model computes.

use std::collections::BTreeSet;

use crate::{
    OnnxError,
    builder::{Dim, float_value},
    fold::folded,
    graph::{Graph, Needs, Origin, graph_of},
    proto::{
        GraphProto, ModelProto, StringStringEntryProto, ValueInfoProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
    symbolic::{Extent, Extents},
    types::Types,
};

/// Cuts a model at the tensor `at` into an encoder with `at` as its only output and a decoder with `at` as its only
/// data input and the model's outputs: [`split_at`] with one tensor.
///
/// # Errors
/// Those of [`split_at`].
pub fn split(model: &ModelProto, at: &str) -> Result<(ModelProto, ModelProto), OnnxError> {
    split_at(model, &[at])
}

/// Cuts a model at several tensors, which together must be all that its second half needs. They become the encoder's
/// outputs and the decoder's data inputs, in this order: the first is the base layer, the others enhance it.
///
/// The type and shape of a tensor are taken from the graph's `value_info`; without one they are derived from the
/// operators before it: `f32` where they do not tell, and of any shape, which runtimes take but ONNX's own checker
/// does not.
///
/// Versions, operator sets, functions, metadata and what is known of the tensors kept go to both halves; training
/// information, which refers to the whole graph, to none. Bodies of `If`, `Loop` and `Scan` stay whole, and what
/// they capture counts as their node's input. Inputs that are initializers too, as before IR version 4, count as
/// initializers. A `Shape` that the model's declared dimensions decide becomes a constant.
///
/// # Errors
/// [`OnnxError::UnknownTensor`], [`OnnxError::CutAtInput`], [`OnnxError::CutAtConstant`] or
/// [`OnnxError::CutAtOutput`] when one of `at` is no tensor between the inputs and the outputs, or there is none;
/// [`OnnxError::RepeatedCut`] for one given twice; [`OnnxError::IndependentOutput`] when an output is computed from
/// none of them; [`OnnxError::CrossedCut`] when the outputs need anything else that is computed before the cut or is
/// an input of the model; [`OnnxError::UnusedCut`] for one that the others make superfluous;
/// [`OnnxError::OldOperators`], [`OnnxError::NoGraph`], [`OnnxError::NoOutput`], [`OnnxError::DuplicateTensor`] or
/// [`OnnxError::UndefinedTensor`] for a malformed model.
pub fn split_at(model: &ModelProto, at: &[&str]) -> Result<(ModelProto, ModelProto), OnnxError> {
    let proto = folded(graph_of(model)?);
    let graph = Graph::new(&proto)?;
    check_tensors(&graph, at)?;
    check_outputs(&graph, at)?;

    let encoder = graph.needs(at.iter().copied(), &[]);
    if !encoder.tensors.iter().any(|tensor| graph.origin(tensor) == Some(Origin::Input)) {
        return Err(OnnxError::CutAtConstant { tensor: joined(at) });
    }
    let before_cut: Vec<bool> =
        encoder.nodes.iter().enumerate().map(|(node, &used)| used && !graph.is_constant(node)).collect();
    let decoder = graph.needs(proto.output.iter().map(ValueInfoProto::name), &before_cut);
    check_crossing(&graph, at, &decoder, &before_cut)?;

    let types = Types::new(&proto);
    let extents = Extents::new(&proto, &[], at);
    let latents: Vec<_> = at.iter().map(|at| latent_info(&proto, at, &types, &extents)).collect();
    let encoder = half(&proto, &encoder, &[], latents.clone());
    let decoder = half(&proto, &decoder, &latents, proto.output.clone());
    Ok((with_graph(model, encoder), with_graph(model, decoder)))
}

fn check_tensors(graph: &Graph<'_>, at: &[&str]) -> Result<(), OnnxError> {
    if at.is_empty() {
        return Err(OnnxError::UnknownTensor { tensor: String::new() });
    }
    for (index, tensor) in at.iter().enumerate() {
        check_tensor(graph, tensor)?;
        if at[..index].contains(tensor) {
            return Err(OnnxError::RepeatedCut { tensor: (*tensor).to_owned() });
        }
    }
    Ok(())
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

fn check_outputs(graph: &Graph<'_>, at: &[&str]) -> Result<(), OnnxError> {
    if graph.proto.output.is_empty() {
        return Err(OnnxError::NoOutput);
    }
    let dependent = graph.downstream(at);
    match graph.proto.output.iter().find(|output| !dependent.contains(output.name())) {
        Some(output) => {
            Err(OnnxError::IndependentOutput { tensor: joined(at), output: output.name().to_owned() })
        }
        None => Ok(()),
    }
}

/// Whether `at` is all that the decoder needs besides constants, and it needs all of it.
fn check_crossing(
    graph: &Graph<'_>,
    at: &[&str],
    decoder: &Needs<'_>,
    before_cut: &[bool],
) -> Result<(), OnnxError> {
    let is_input = |tensor: &str| graph.origin(tensor) == Some(Origin::Input);
    let crosses = |tensor: &str| match graph.origin(tensor) {
        Some(Origin::Input) => true,
        Some(Origin::Node(node)) => before_cut[node] && !at.contains(&tensor),
        Some(Origin::Initializer) | None => false,
    };
    let crossing: Vec<String> =
        decoder.tensors.iter().filter(|tensor| crosses(tensor)).map(|&tensor| tensor.to_owned()).collect();
    if !crossing.is_empty() {
        let inputs = crossing.iter().filter(|tensor| is_input(tensor)).cloned().collect();
        return Err(OnnxError::CrossedCut { tensor: joined(at), crossing, inputs });
    }
    match at.iter().find(|tensor| !decoder.tensors.contains(*tensor)) {
        Some(tensor) => Err(OnnxError::UnusedCut { tensor: (*tensor).to_owned() }),
        None => Ok(()),
    }
}

fn joined(at: &[&str]) -> String {
    at.join("`, `")
}

/// What is known of a tensor of the cut. Only symbols that the model has itself are written: runtimes take a symbol as
/// the promise that all extents with it are equal.
fn latent_info(graph: &GraphProto, at: &str, types: &Types<'_>, extents: &Extents<'_>) -> ValueInfoProto {
    if let Some(known) = graph.value_info.iter().find(|info| info.name() == at) {
        return known.clone();
    }
    let dim = |extent: &Extent| match extent {
        Extent::Fixed(extent) => i64::try_from(*extent).map_or(Dim::Symbol(String::new()), Dim::Fixed),
        Extent::Open { symbol, times: 1, over: 1, plus: 0 } if declares(graph, symbol) => {
            Dim::Symbol(symbol.clone())
        }
        Extent::Open { .. } | Extent::Unknown => Dim::Symbol(String::new()),
    };
    let dims: Option<Vec<Dim>> = extents.of(at).map(|extents| extents.iter().map(dim).collect());
    let mut info = float_value(at, dims.as_deref());
    if let Some(type_proto::Value::TensorType(tensor)) =
        info.r#type.as_mut().and_then(|kind| kind.value.as_mut())
    {
        tensor.elem_type = types.of(at).or(tensor.elem_type);
        for dim in tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim) {
            dim.value = dim.value.take().filter(|value| *value != dimension::Value::DimParam(String::new()));
        }
    }
    info
}

/// Whether an input has a dimension of this symbol.
fn declares(graph: &GraphProto, symbol: &str) -> bool {
    let dims = graph.input.iter().filter_map(|input| match input.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => tensor.shape.as_ref(),
        _ => None,
    });
    let is_it =
        |dim: &Dimension| matches!(&dim.value, Some(dimension::Value::DimParam(name)) if name == symbol);
    dims.flat_map(|shape| &shape.dim).any(is_it)
}

/// The graph of the needed nodes and tensors.
fn half(
    graph: &GraphProto,
    needs: &Needs<'_>,
    latents: &[ValueInfoProto],
    output: Vec<ValueInfoProto>,
) -> GraphProto {
    let used = |name: &str| needs.tensors.contains(name);
    let quantization_annotation: Vec<_> =
        kept(&graph.quantization_annotation, |annotation| used(annotation.tensor_name()));
    let parameters: BTreeSet<&str> = quantization_annotation
        .iter()
        .flat_map(|annotation| &annotation.quant_parameter_tensor_names)
        .map(StringStringEntryProto::value)
        .collect();
    let stored = |name: &str| used(name) || parameters.contains(name);
    let declared: BTreeSet<&str> = latents.iter().chain(&output).map(ValueInfoProto::name).collect();

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
        input: latents.iter().cloned().chain(kept(&graph.input, |info| used(info.name()))).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attribute, GraphBuilder, decode, encode,
        proto::{
            AttributeProto, FunctionProto, NodeProto, TensorAnnotation,
            tensor_shape_proto::dimension::Value as DimValue, type_proto,
        },
        set_metadata,
        testing::{self, initializers, inputs, nodes, outputs},
    };

    /// A graph `x → Relu a → Relu b → Relu y` to build variants from.
    fn chain() -> GraphBuilder {
        let mut graph = GraphBuilder::new("chain");
        graph.input("x", &[4.into()]);
        graph.relu("x", "a");
        graph.relu("a", "b");
        graph
    }

    fn finished(mut graph: GraphBuilder) -> ModelProto {
        graph.output("y", &[4.into()]);
        graph.build()
    }

    fn dims(info: &ValueInfoProto) -> Option<Vec<DimValue>> {
        let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().unwrap().value.as_ref() else {
            panic!("{info:?} is no tensor")
        };
        assert_eq!(tensor.elem_type(), 1);
        tensor.shape.as_ref().map(|shape| shape.dim.iter().map(|dim| dim.value.clone().unwrap()).collect())
    }

    #[test]
    fn an_mlp_is_cut_at_its_latent() {
        let model = testing::mlp();
        let (encoder, decoder) = split(&model, "latent").unwrap();
        assert_eq!(nodes(&encoder), ["h1", "a1", "latent"]);
        assert_eq!(nodes(&decoder), ["h3", "a3", "h4", "a4", "h5", "y"]);
        assert_eq!(initializers(&encoder), ["w1", "b1", "w2", "b2"]);
        assert_eq!(initializers(&decoder), ["w3", "b3", "w4", "b4", "w5", "b5"]);
        assert_eq!((inputs(&encoder), outputs(&encoder)), (vec!["x"], vec!["latent"]));
        assert_eq!((inputs(&decoder), outputs(&decoder)), (vec!["latent"], vec!["y"]));
        for half in [encoder, decoder] {
            assert_eq!(decode(&encode(&half)).unwrap(), half);
            assert_eq!((half.ir_version, &half.opset_import), (model.ir_version, &model.opset_import));
        }
    }

    #[test]
    fn the_cut_keeps_its_declared_shape() {
        let (encoder, decoder) = split(&testing::mlp(), "latent").unwrap();
        let expected = vec![DimValue::DimParam("batch".into()), DimValue::DimValue(32)];
        assert_eq!(dims(&testing::graph(&encoder).output[0]), Some(expected.clone()));
        assert_eq!(dims(&testing::graph(&decoder).input[0]), Some(expected));
        for half in [&encoder, &decoder] {
            assert!(testing::graph(half).value_info.is_empty(), "an input or output is not declared twice");
        }
    }

    #[test]
    fn an_undeclared_cut_has_the_derived_shape() {
        let (encoder, decoder) = split(&testing::mlp(), "a1").unwrap();
        let expected = Some(vec![DimValue::DimParam("batch".into()), DimValue::DimValue(256)]);
        assert_eq!(dims(&testing::graph(&encoder).output[0]), expected);
        assert_eq!(dims(&testing::graph(&decoder).input[0]), expected);
        assert_eq!(testing::graph(&decoder).value_info.len(), 1, "the latent's shape is still known");

        let mut graph = chain();
        graph.node("Mystery", &["b"], "z", &[]);
        graph.relu("z", "y");
        let (encoder, _) = split(&finished(graph), "z").unwrap();
        assert_eq!(dims(&testing::graph(&encoder).output[0]), None);
    }

    #[test]
    fn names_that_are_no_cut_are_refused() {
        let mut model = testing::mlp();
        let tensor = |name: &str| name.to_owned();
        assert_eq!(split(&model, "h9"), Err(OnnxError::UnknownTensor { tensor: tensor("h9") }));
        assert_eq!(split(&model, ""), Err(OnnxError::UnknownTensor { tensor: tensor("") }));
        assert_eq!(split(&model, "x"), Err(OnnxError::CutAtInput { tensor: tensor("x") }));
        assert_eq!(split(&model, "w1"), Err(OnnxError::CutAtConstant { tensor: tensor("w1") }));
        assert_eq!(split(&model, "y"), Err(OnnxError::CutAtOutput { tensor: tensor("y") }));
        model.graph.as_mut().unwrap().output.clear();
        assert_eq!(split(&model, "latent"), Err(OnnxError::NoOutput));
        model.graph = None;
        assert_eq!(split(&model, "latent"), Err(OnnxError::NoGraph));
    }

    #[test]
    fn a_computed_constant_is_no_cut() {
        let mut graph = chain();
        graph.node("Constant", &[], "c", &[("value_float", Attribute::Float(2.0))]);
        graph.relu("c", "d");
        graph.node("Mul", &["b", "d"], "y", &[]);
        let refused = split(&finished(graph), "d");
        assert_eq!(refused, Err(OnnxError::CutAtConstant { tensor: "d".into() }));
    }

    #[test]
    fn a_branch_across_the_cut_is_refused_and_named() {
        let mut graph = chain();
        graph.relu("a", "side");
        graph.node("Sum", &["b", "side", "x"], "y", &[]);
        let crossing = vec!["a".to_owned(), "x".to_owned()];
        assert_eq!(
            split(&finished(graph), "b"),
            Err(OnnxError::CrossedCut {
                tensor: "b".into(),
                crossing: crossing.clone(),
                inputs: vec!["x".into()]
            })
        );
        let message =
            OnnxError::CrossedCut { tensor: "b".into(), crossing, inputs: vec!["x".into()] }.to_string();
        assert!(message.contains("`b`") && message.contains("`a`, `x` are also needed"), "{message}");
    }

    #[test]
    fn a_second_input_beyond_the_cut_is_refused() {
        let mut graph = chain();
        graph.input("temperature", &[]);
        graph.node("Div", &["b", "temperature"], "y", &[]);
        let expected = OnnxError::CrossedCut {
            tensor: "b".into(),
            crossing: vec!["temperature".into()],
            inputs: vec!["temperature".into()],
        };
        assert_eq!(split(&finished(graph), "b"), Err(expected));
    }

    #[test]
    fn an_output_beside_the_cut_is_refused() {
        let mut graph = chain();
        graph.relu("b", "y");
        graph.relu("a", "other");
        graph.output("other", &[]);
        let expected = OnnxError::IndependentOutput { tensor: "b".into(), output: "other".into() };
        assert_eq!(split(&finished(graph), "b"), Err(expected));
    }

    #[test]
    fn skips_inside_a_half_are_fine() {
        let mut graph = chain();
        graph.node("Add", &["a", "b"], "c", &[]);
        graph.relu("c", "d");
        graph.node("Add", &["c", "d"], "y", &[]);
        let (encoder, decoder) = split(&finished(graph), "c").unwrap();
        assert_eq!((nodes(&encoder), nodes(&decoder)), (vec!["a", "b", "c"], vec!["d", "y"]));
    }

    #[test]
    fn constants_go_to_each_half_that_uses_them() {
        let mut graph = chain();
        graph.initializer("shared", &[1], &[2.0]).unwrap();
        graph.node("Constant", &[], "c", &[("value_float", Attribute::Float(2.0))]);
        graph.node("Mul", &["c", "shared"], "folded", &[]);
        graph.node("Mul", &["b", "folded"], "z", &[]);
        graph.initializer("unused", &[1], &[0.0]).unwrap();
        graph.relu("c", "dead");
        graph.node("Add", &["z", "folded"], "y", &[]);
        let (encoder, decoder) = split(&finished(graph), "z").unwrap();
        assert_eq!(nodes(&encoder), ["a", "b", "c", "folded", "z"]);
        assert_eq!(nodes(&decoder), ["c", "folded", "y"]);
        assert_eq!((initializers(&encoder), initializers(&decoder)), (vec!["shared"], vec!["shared"]));
    }

    #[test]
    fn random_values_are_not_duplicated() {
        let mut graph = chain();
        graph.node("RandomNormal", &[], "noise", &[("shape", Attribute::Ints(vec![4]))]);
        graph.node("Add", &["b", "noise"], "z", &[]);
        graph.node("Sub", &["z", "noise"], "y", &[]);
        let expected =
            OnnxError::CrossedCut { tensor: "z".into(), crossing: vec!["noise".into()], inputs: vec![] };
        assert_eq!(split(&finished(graph), "z"), Err(expected));
    }

    /// An `If` on the constant `yes`, whose one branch adds `inner` to the outer tensor `captured`.
    fn conditional(captured: &str) -> NodeProto {
        let mut branch = GraphBuilder::new("branch");
        branch.initializer("one", &[1], &[1.0]).unwrap();
        branch.relu("one", "inner");
        branch.node("Add", &["inner", captured], "sum", &[]);
        branch.output("sum", &[]);
        let name = Some("then_branch".to_owned());
        NodeProto {
            op_type: Some("If".into()),
            input: vec!["yes".into()],
            output: vec!["y".into()],
            attribute: vec![AttributeProto { name, g: branch.build().graph, ..AttributeProto::default() }],
            ..NodeProto::default()
        }
    }

    #[test]
    fn bodies_capture_outer_tensors() {
        for (captured, crossing) in [("b", None), ("a", Some("a")), ("x", Some("x"))] {
            let mut graph = chain();
            graph.initializer("yes", &[1], &[1.0]).unwrap();
            graph.relu("b", "c");
            graph.node("Add", &["b", "c"], "z", &[]);
            let mut model = finished(graph);
            let body = conditional(captured);
            model.graph.as_mut().unwrap().node.push(body);
            match crossing {
                None => assert_eq!(nodes(&split(&model, "b").unwrap().1), [""]),
                // Captured before the cut, so the output does not depend on it at all.
                Some(_) => assert!(matches!(split(&model, "b"), Err(OnnxError::IndependentOutput { .. }))),
            }
            let last = model.graph.as_mut().unwrap().node.last_mut().unwrap();
            last.input.push("z".into());
            let Some(name) = crossing else { continue };
            let inputs = if name == "x" { vec![name.into()] } else { vec![] };
            let expected = OnnxError::CrossedCut { tensor: "b".into(), crossing: vec![name.into()], inputs };
            assert_eq!(split(&model, "b"), Err(expected));
        }
    }

    #[test]
    fn malformed_graphs_are_refused() {
        let mut graph = chain();
        graph.relu("later", "y");
        graph.relu("b", "later");
        let expected = OnnxError::UndefinedTensor { tensor: "later".into(), node: "y".into() };
        assert_eq!(split(&finished(graph), "b"), Err(expected));
        let mut graph = chain();
        graph.relu("b", "y");
        graph.relu("b", "a");
        assert_eq!(split(&finished(graph), "b"), Err(OnnxError::DuplicateTensor { tensor: "a".into() }));
    }

    #[test]
    fn what_surrounds_the_graph_goes_to_both_halves() {
        let mut model = testing::mlp();
        set_metadata(&mut model, "dataset", "mnist");
        model.functions.push(FunctionProto { name: Some("f".into()), ..FunctionProto::default() });
        model.training_info.push(crate::proto::TrainingInfoProto::default());
        let (encoder, decoder) = split(&model, "latent").unwrap();
        for half in [encoder, decoder] {
            assert_eq!(half.metadata_props, model.metadata_props);
            assert_eq!(half.functions, model.functions);
            assert!(half.training_info.is_empty());
        }
    }

    #[test]
    fn initializers_that_are_inputs_follow_their_use() {
        let mut graph = chain();
        graph.initializer("w", &[4], &[1.0; 4]).unwrap();
        graph.input("w", &[4.into()]);
        graph.node("Mul", &["b", "w"], "y", &[]);
        let (encoder, decoder) = split(&finished(graph), "b").unwrap();
        assert_eq!((inputs(&encoder), inputs(&decoder)), (vec!["x"], vec!["b", "w"]));
        assert_eq!((initializers(&encoder).len(), initializers(&decoder)), (0, vec!["w"]));
    }

    #[test]
    fn quantisation_parameters_follow_their_tensor() {
        let mut graph = chain();
        graph.initializer("scale", &[1], &[0.1]).unwrap();
        graph.relu("b", "y");
        let mut model = finished(graph);
        let entry = StringStringEntryProto { key: Some("SCALE_TENSOR".into()), value: Some("scale".into()) };
        model.graph.as_mut().unwrap().quantization_annotation.push(TensorAnnotation {
            tensor_name: Some("a".into()),
            quant_parameter_tensor_names: vec![entry],
        });
        let (encoder, decoder) = split(&model, "b").unwrap();
        assert_eq!((initializers(&encoder), initializers(&decoder).len()), (vec!["scale"], 0));
        assert_eq!(testing::graph(&encoder).quantization_annotation.len(), 1);
        assert!(testing::graph(&decoder).quantization_annotation.is_empty());
    }
}
