use super::*;
use crate::{
    Attribute, GraphBuilder, decode_model, encode_model,
    proto::{
        AttributeProto, FunctionProto, NodeProto, TensorAnnotation,
        tensor_shape_proto::dimension::Value as DimValue, type_proto,
    },
    set_metadata,
    testing::{self, initializer_names, input_names, node_names, output_names},
};

/// Returns an unfinished graph `x → Relu a → Relu b`, from which the tests build variants.
fn chain() -> GraphBuilder {
    let mut graph = GraphBuilder::new("chain");
    graph.add_input("x", &[4.into()]);
    graph.relu("x", "a");
    graph.relu("a", "b");
    graph
}

fn finished(mut graph: GraphBuilder) -> ModelProto {
    graph.add_output("y", &[4.into()]);
    graph.build()
}

fn dims(info: &ValueInfoProto) -> Option<Vec<DimValue>> {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().unwrap().value.as_ref() else {
        panic!("{info:?} is not a tensor")
    };
    assert_eq!(tensor.elem_type(), 1);
    tensor.shape.as_ref().map(|shape| shape.dim.iter().map(|dim| dim.value.clone().unwrap()).collect())
}

#[test]
fn an_mlp_is_cut_at_its_latent() {
    let model = testing::mlp();
    let (encoder, decoder) = split_model(&model, "latent").unwrap();
    assert_eq!(node_names(&encoder), ["h1", "a1", "latent"]);
    assert_eq!(node_names(&decoder), ["h3", "a3", "h4", "a4", "h5", "y"]);
    assert_eq!(initializer_names(&encoder), ["w1", "b1", "w2", "b2"]);
    assert_eq!(initializer_names(&decoder), ["w3", "b3", "w4", "b4", "w5", "b5"]);
    assert_eq!((input_names(&encoder), output_names(&encoder)), (vec!["x"], vec!["latent"]));
    assert_eq!((input_names(&decoder), output_names(&decoder)), (vec!["latent"], vec!["y"]));
    for half in [encoder, decoder] {
        assert_eq!(decode_model(&encode_model(&half)).unwrap(), half);
        assert_eq!((half.ir_version, &half.opset_import), (model.ir_version, &model.opset_import));
    }
}

#[test]
fn the_cut_keeps_its_declared_shape() {
    let (encoder, decoder) = split_model(&testing::mlp(), "latent").unwrap();
    let expected = vec![DimValue::DimParam("batch".into()), DimValue::DimValue(32)];
    assert_eq!(dims(&testing::graph(&encoder).output[0]), Some(expected.clone()));
    assert_eq!(dims(&testing::graph(&decoder).input[0]), Some(expected));
    for half in [&encoder, &decoder] {
        assert!(testing::graph(half).value_info.is_empty(), "no input or output is declared twice");
    }
}

#[test]
fn an_undeclared_cut_has_the_derived_shape() {
    let (encoder, decoder) = split_model(&testing::mlp(), "a1").unwrap();
    let expected = Some(vec![DimValue::DimParam("batch".into()), DimValue::DimValue(256)]);
    assert_eq!(dims(&testing::graph(&encoder).output[0]), expected);
    assert_eq!(dims(&testing::graph(&decoder).input[0]), expected);
    assert_eq!(testing::graph(&decoder).value_info.len(), 1, "the latent's shape is still known");

    let mut graph = chain();
    graph.add_node("Mystery", &["b"], "z", &[]);
    graph.relu("z", "y");
    let (encoder, _) = split_model(&finished(graph), "z").unwrap();
    assert_eq!(dims(&testing::graph(&encoder).output[0]), None);
}

#[test]
fn names_that_are_no_cut_are_refused() {
    let mut model = testing::mlp();
    let tensor = |name: &str| name.to_owned();
    assert_eq!(split_model(&model, "h9"), Err(OnnxError::UnknownTensor { tensor: tensor("h9") }));
    assert_eq!(split_model(&model, ""), Err(OnnxError::UnknownTensor { tensor: tensor("") }));
    assert_eq!(split_model(&model, "x"), Err(OnnxError::CutAtInput { tensor: tensor("x") }));
    assert_eq!(split_model(&model, "w1"), Err(OnnxError::CutAtConstant { tensor: tensor("w1") }));
    assert_eq!(split_model(&model, "y"), Err(OnnxError::CutAtOutput { tensor: tensor("y") }));
    model.graph.as_mut().unwrap().output.clear();
    assert_eq!(split_model(&model, "latent"), Err(OnnxError::NoOutput));
    model.graph = None;
    assert_eq!(split_model(&model, "latent"), Err(OnnxError::NoGraph));
}

#[test]
fn a_computed_constant_is_no_cut() {
    let mut graph = chain();
    graph.add_node("Constant", &[], "c", &[("value_float", Attribute::Float(2.0))]);
    graph.relu("c", "d");
    graph.add_node("Mul", &["b", "d"], "y", &[]);
    let result = split_model(&finished(graph), "d");
    assert_eq!(result, Err(OnnxError::CutAtConstant { tensor: "d".into() }));
}

#[test]
fn a_branch_across_the_cut_is_refused_and_named() {
    let mut graph = chain();
    graph.relu("a", "side");
    graph.add_node("Sum", &["b", "side", "x"], "y", &[]);
    let crossing = vec!["a".to_owned(), "x".to_owned()];
    assert_eq!(
        split_model(&finished(graph), "b"),
        Err(OnnxError::IncompleteCut {
            tensor: "b".into(),
            crossing: crossing.clone(),
            inputs: vec!["x".into()]
        })
    );
    let message =
        OnnxError::IncompleteCut { tensor: "b".into(), crossing, inputs: vec!["x".into()] }.to_string();
    assert!(message.contains("`b`") && message.contains("`a`, `x` are also needed"), "{message}");
}

#[test]
fn a_second_input_beyond_the_cut_is_refused() {
    let mut graph = chain();
    graph.add_input("temperature", &[]);
    graph.add_node("Div", &["b", "temperature"], "y", &[]);
    let expected = OnnxError::IncompleteCut {
        tensor: "b".into(),
        crossing: vec!["temperature".into()],
        inputs: vec!["temperature".into()],
    };
    assert_eq!(split_model(&finished(graph), "b"), Err(expected));
}

#[test]
fn an_output_independent_of_the_cut_is_refused() {
    let mut graph = chain();
    graph.relu("b", "y");
    graph.relu("a", "other");
    graph.add_output("other", &[]);
    let expected = OnnxError::IndependentOutput { tensor: "b".into(), output: "other".into() };
    assert_eq!(split_model(&finished(graph), "b"), Err(expected));
}

#[test]
fn skip_connections_inside_a_half_are_accepted() {
    let mut graph = chain();
    graph.add_node("Add", &["a", "b"], "c", &[]);
    graph.relu("c", "d");
    graph.add_node("Add", &["c", "d"], "y", &[]);
    let (encoder, decoder) = split_model(&finished(graph), "c").unwrap();
    assert_eq!((node_names(&encoder), node_names(&decoder)), (vec!["a", "b", "c"], vec!["d", "y"]));
}

#[test]
fn constants_go_to_each_half_that_uses_them() {
    let mut graph = chain();
    graph.add_initializer("shared", &[1], &[2.0]).unwrap();
    graph.add_node("Constant", &[], "c", &[("value_float", Attribute::Float(2.0))]);
    graph.add_node("Mul", &["c", "shared"], "folded", &[]);
    graph.add_node("Mul", &["b", "folded"], "z", &[]);
    graph.add_initializer("unused", &[1], &[0.0]).unwrap();
    graph.relu("c", "dead");
    graph.add_node("Add", &["z", "folded"], "y", &[]);
    let (encoder, decoder) = split_model(&finished(graph), "z").unwrap();
    assert_eq!(node_names(&encoder), ["a", "b", "c", "folded", "z"]);
    assert_eq!(node_names(&decoder), ["c", "folded", "y"]);
    assert_eq!((initializer_names(&encoder), initializer_names(&decoder)), (vec!["shared"], vec!["shared"]));
}

#[test]
fn random_values_are_not_duplicated() {
    let mut graph = chain();
    graph.add_node("RandomNormal", &[], "noise", &[("shape", Attribute::Ints(vec![4]))]);
    graph.add_node("Add", &["b", "noise"], "z", &[]);
    graph.add_node("Sub", &["z", "noise"], "y", &[]);
    let expected =
        OnnxError::IncompleteCut { tensor: "z".into(), crossing: vec!["noise".into()], inputs: vec![] };
    assert_eq!(split_model(&finished(graph), "z"), Err(expected));
}

/// Returns an `If` on the constant `yes`, whose only branch adds `inner` to the outer tensor `captured`.
fn conditional(captured: &str) -> NodeProto {
    let mut branch = GraphBuilder::new("branch");
    branch.add_initializer("one", &[1], &[1.0]).unwrap();
    branch.relu("one", "inner");
    branch.add_node("Add", &["inner", captured], "sum", &[]);
    branch.add_output("sum", &[]);
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
        graph.add_initializer("yes", &[1], &[1.0]).unwrap();
        graph.relu("b", "c");
        graph.add_node("Add", &["b", "c"], "z", &[]);
        let mut model = finished(graph);
        let body = conditional(captured);
        model.graph.as_mut().unwrap().node.push(body);
        match crossing {
            None => assert_eq!(node_names(&split_model(&model, "b").unwrap().1), [""]),
            // The body captures a tensor before the cut, so the output does not depend on the cut at all.
            Some(_) => assert!(matches!(split_model(&model, "b"), Err(OnnxError::IndependentOutput { .. }))),
        }
        let last = model.graph.as_mut().unwrap().node.last_mut().unwrap();
        last.input.push("z".into());
        let Some(name) = crossing else { continue };
        let inputs = if name == "x" { vec![name.into()] } else { vec![] };
        let expected = OnnxError::IncompleteCut { tensor: "b".into(), crossing: vec![name.into()], inputs };
        assert_eq!(split_model(&model, "b"), Err(expected));
    }
}

#[test]
fn malformed_graphs_are_refused() {
    let mut graph = chain();
    graph.relu("later", "y");
    graph.relu("b", "later");
    let expected = OnnxError::UndefinedTensor { tensor: "later".into(), node: "y".into() };
    assert_eq!(split_model(&finished(graph), "b"), Err(expected));
    let mut graph = chain();
    graph.relu("b", "y");
    graph.relu("b", "a");
    assert_eq!(split_model(&finished(graph), "b"), Err(OnnxError::DuplicateTensor { tensor: "a".into() }));
}

#[test]
fn model_metadata_goes_to_both_halves() {
    let mut model = testing::mlp();
    set_metadata(&mut model, "dataset", "mnist");
    model.functions.push(FunctionProto { name: Some("f".into()), ..FunctionProto::default() });
    model.training_info.push(crate::proto::TrainingInfoProto::default());
    let (encoder, decoder) = split_model(&model, "latent").unwrap();
    for half in [encoder, decoder] {
        assert_eq!(half.metadata_props, model.metadata_props);
        assert_eq!(half.functions, model.functions);
        assert!(half.training_info.is_empty());
    }
}

#[test]
fn initializers_that_are_inputs_follow_their_use() {
    let mut graph = chain();
    graph.add_initializer("w", &[4], &[1.0; 4]).unwrap();
    graph.add_input("w", &[4.into()]);
    graph.add_node("Mul", &["b", "w"], "y", &[]);
    let (encoder, decoder) = split_model(&finished(graph), "b").unwrap();
    assert_eq!((input_names(&encoder), input_names(&decoder)), (vec!["x"], vec!["b", "w"]));
    assert_eq!((initializer_names(&encoder).len(), initializer_names(&decoder)), (0, vec!["w"]));
}

#[test]
fn quantisation_parameters_follow_their_tensor() {
    let mut graph = chain();
    graph.add_initializer("scale", &[1], &[0.1]).unwrap();
    graph.relu("b", "y");
    let mut model = finished(graph);
    let entry = StringStringEntryProto { key: Some("SCALE_TENSOR".into()), value: Some("scale".into()) };
    model
        .graph
        .as_mut()
        .unwrap()
        .quantization_annotation
        .push(TensorAnnotation { tensor_name: Some("a".into()), quant_parameter_tensor_names: vec![entry] });
    let (encoder, decoder) = split_model(&model, "b").unwrap();
    assert_eq!((initializer_names(&encoder), initializer_names(&decoder).len()), (vec!["scale"], 0));
    assert_eq!(testing::graph(&encoder).quantization_annotation.len(), 1);
    assert!(testing::graph(&decoder).quantization_annotation.is_empty());
}
