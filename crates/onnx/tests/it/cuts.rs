//! Cuts of random graphs: exactly the listed cuts can be split, and both halves together compute the same as
//! the model.

use std::collections::{BTreeMap, BTreeSet};

use lopside_onnx::{
    Attribute, GraphBuilder, OnnxError, decode_model, encode_model, find_cuts, load_external_data,
    model_cost,
    proto::{
        GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
        ValueInfoProto,
        tensor_proto::{DataLocation, DataType},
        type_proto::Value,
    },
    split_at, split_model,
};
use proptest::prelude::*;

/// The description of one node: its kind, and the earlier tensors that it reads.
type Recipe = (u8, u16, u16);

/// Returns a graph of nodes that read one or two of the inputs, an initializer, constants, random values and
/// earlier nodes. Most nodes read the one before them, so that cuts exist.
fn made_up(recipes: &[Recipe], outputs: usize) -> ModelProto {
    let mut graph = GraphBuilder::new("random");
    let mut tensors = vec![graph.add_input("x", &[4.into()]), graph.add_input("second", &[4.into()])];
    tensors.truncate(1 + usize::from(recipes[0].0 > 200));
    tensors.push(graph.add_initializer("w", &[4], &[0.5; 4]).unwrap());
    for (index, &(kind, a, b)) in recipes.iter().enumerate() {
        let name = format!("t{index}");
        let pick = |choice: u16| tensors[choice as usize % tensors.len()].clone();
        let last = tensors[tensors.len() - 1].clone();
        match kind {
            0..=9 => graph.add_node("Constant", &[], &name, &[("value_float", Attribute::Float(2.0))]),
            10..=14 => graph.add_node("RandomNormal", &[], &name, &[("shape", Attribute::Ints(vec![4]))]),
            15..=40 => graph.add_node("Relu", &[&pick(a)], &name, &[]),
            41..=60 => graph.add_node("Add", &[&pick(a), &pick(b)], &name, &[]),
            61..=130 => graph.add_node("Mul", &[&last, &pick(b)], &name, &[]),
            _ => graph.add_node("Mul", &[&last, "w"], &name, &[]),
        };
        tensors.push(name);
    }
    for name in tensors.iter().rev().take(outputs) {
        graph.add_output(name, &[4.into()]);
    }
    graph.build()
}

fn graph(model: &ModelProto) -> &GraphProto {
    model.graph.as_ref().unwrap()
}

/// Returns the term that each output computes from the inputs; `initial` contains tensors whose terms are
/// known.
fn meaning(
    model: &ModelProto,
    initial: &BTreeMap<String, usize>,
    terms: &mut Terms,
) -> BTreeMap<String, usize> {
    let mut known = initial.clone();
    let graph = graph(model);
    for name in
        graph.initializer.iter().map(TensorProto::name).chain(graph.input.iter().map(ValueInfoProto::name))
    {
        known.entry(name.to_owned()).or_insert_with(|| terms.number(name.to_owned(), vec![]));
    }
    for node in &graph.node {
        let inputs = node.input.iter().map(|input| known[input]).collect();
        // Random values are distinguished by their names; constants are all equal.
        let op =
            if node.op_type() == "RandomNormal" { node.output[0].clone() } else { node.op_type().to_owned() };
        known.insert(node.output[0].clone(), terms.number(op, inputs));
    }
    graph.output.iter().map(|output| (output.name().to_owned(), known[output.name()])).collect()
}

/// Numbers of terms; equal terms have the same number.
#[derive(Default)]
struct Terms(BTreeMap<(String, Vec<usize>), usize>);

impl Terms {
    fn number(&mut self, op: String, inputs: Vec<usize>) -> usize {
        let next = self.0.len();
        *self.0.entry((op, inputs)).or_insert(next)
    }
}

fn composes(model: &ModelProto, encoder: &ModelProto, decoder: &ModelProto) {
    let mut terms = Terms::default();
    let expected = meaning(model, &BTreeMap::new(), &mut terms);
    let latents = meaning(encoder, &BTreeMap::new(), &mut terms);
    assert_eq!(meaning(decoder, &latents, &mut terms), expected);
    let inputs: BTreeSet<&str> = graph(decoder).input.iter().map(ValueInfoProto::name).collect();
    assert_eq!(inputs, latents.keys().map(String::as_str).collect());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn exactly_the_listed_cuts_can_be_split(
        recipes in prop::collection::vec(any::<Recipe>(), 1..24),
        outputs in prop::sample::select(vec![1_usize, 1, 1, 1, 2]),
    ) {
        let model = made_up(&recipes, outputs);
        let listed = match find_cuts(&model, &[]) {
            Ok(cuts) => cuts,
            Err(OnnxError::NoCut { .. } | OnnxError::IndependentOutput { .. }) => Vec::new(),
            Err(error) => panic!("{error}"),
        };
        let names: BTreeSet<&str> = listed.iter().map(|cut| cut.tensor.as_str()).collect();
        for node in &graph(&model).node {
            let name = node.output[0].as_str();
            match split_model(&model, name) {
                Ok((encoder, decoder)) => {
                    prop_assert!(names.contains(name), "{name} is not listed");
                    composes(&model, &encoder, &decoder);
                    let cut = listed.iter().find(|cut| cut.tensor == name).unwrap();
                    prop_assert_eq!(model_cost(&encoder, &[]).unwrap().parameters, cut.encoder.parameters);
                    prop_assert_eq!(model_cost(&decoder, &[]).unwrap().parameters, cut.decoder.parameters);
                }
                Err(_) => prop_assert!(!names.contains(name), "{name} is listed"),
            }
        }
    }

    #[test]
    fn adding_the_crossing_tensors_completes_a_cut(recipes in prop::collection::vec(any::<Recipe>(), 2..24)) {
        let model = made_up(&recipes, 1);
        for node in &graph(&model).node {
            let name = node.output[0].as_str();
            let Err(OnnxError::IncompleteCut { crossing, inputs, .. }) = split_model(&model, name) else { continue };
            if !inputs.is_empty() {
                continue;
            }
            let tensors: Vec<&str> = [name].into_iter().chain(crossing.iter().map(String::as_str)).collect();
            match split_at(&model, &tensors) {
                Ok((encoder, decoder)) => composes(&model, &encoder, &decoder),
                Err(error) => prop_assert!(matches!(error, OnnxError::SuperfluousCut { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn no_damage_panics(
        recipes in prop::collection::vec(any::<Recipe>(), 1..12),
        position in any::<u16>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encode_model(&made_up(&recipes, 1));
        let position = position as usize % bytes.len();
        bytes[position] = byte;
        if let Ok(mut model) = decode_model(&bytes) {
            let _ = find_cuts(&model, &[("n", 1)]);
            let _ = split_at(&model, &["t0", "t1"]);
            let _ = load_external_data(&mut model, &mut |_, _, _| Err("files are not read".to_owned()));
        }
    }
}

/// Returns the graph `x → p → a → b → c → y`, where `y` also reads `a`.
fn skip() -> ModelProto {
    let mut graph = GraphBuilder::new("skip");
    graph.add_input("x", &["n".into(), 4.into()]);
    graph.relu("x", "p");
    graph.relu("p", "a");
    graph.relu("a", "b");
    graph.relu("b", "c");
    graph.add_node("Add", &["c", "a"], "y", &[]);
    graph.add_output("y", &["n".into(), 4.into()]);
    graph.build()
}

#[test]
fn a_cut_at_several_tensors_keeps_their_order() {
    for tensors in [["c", "a"], ["a", "c"]] {
        let (encoder, decoder) = split_at(&skip(), &tensors).unwrap();
        let outputs: Vec<&str> = graph(&encoder).output.iter().map(ValueInfoProto::name).collect();
        let inputs: Vec<&str> = graph(&decoder).input.iter().map(ValueInfoProto::name).collect();
        assert_eq!((outputs, inputs), (tensors.to_vec(), tensors.to_vec()));
        assert_eq!((graph(&encoder).node.len(), graph(&decoder).node.len()), (4, 1));
    }
}

#[test]
fn a_wrong_set_of_tensors_is_explained() {
    let refusal = |tensors: &[&str]| split_at(&skip(), tensors).unwrap_err().to_string();
    assert!(refusal(&["c"]).contains("`a` is also needed"), "{}", refusal(&["c"]));
    assert!(refusal(&["a", "c", "p"]).contains("no node reads `p`"));
    assert!(refusal(&["a", "a"]).contains("twice"));
    assert!(refusal(&["c", "y"]).contains("already an output"));
    assert!(refusal(&["c", "x"]).contains("an input of the model"));
    assert_eq!(split_at(&skip(), &[]).unwrap_err(), OnnxError::UnknownTensor { tensor: String::new() });
}

#[test]
fn an_input_of_the_decoder_alone_is_named() {
    let mut builder = GraphBuilder::new("scaled");
    builder.add_input("x", &[4.into()]);
    builder.add_input("scale", &[]);
    builder.relu("x", "a");
    builder.add_node("Mul", &["a", "scale"], "y", &[]);
    builder.add_output("y", &[4.into()]);
    let model = builder.build();
    let error = split_model(&model, "a").unwrap_err().to_string();
    assert!(error.contains("`scale` is an input of the model, which only the encoder receives"), "{error}");
    assert!(
        matches!(find_cuts(&model, &[]), Err(OnnxError::NoCut { crossing, .. }) if crossing == ["y"] || crossing == ["a", "scale"])
    );
}

/// Returns a graph that reshapes `x` to its own shape, so that the shape crosses a cut in between.
fn reshaped(dims: [i64; 3]) -> ModelProto {
    let mut builder = GraphBuilder::new("reshaped");
    builder.add_input("x", &dims.map(Into::into));
    builder.add_node("Shape", &["x"], "shape", &[]);
    builder.relu("x", "a");
    builder.add_node("Reshape", &["a", "shape"], "y", &[]);
    builder.add_output("y", &dims.map(Into::into));
    builder.build()
}

#[test]
fn the_shape_of_fixed_dimensions_is_a_constant() {
    let (encoder, decoder) = split_model(&reshaped([2, 3, 8]), "a").unwrap();
    let ops = |model: &ModelProto| {
        graph(model).node.iter().map(|node| node.op_type().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (ops(&encoder), ops(&decoder)),
        (vec!["Relu".to_owned()], vec!["Constant".into(), "Reshape".into()])
    );
    let model = reshaped([-1, 3, 8]);
    let error = split_model(&model, "a").unwrap_err();
    assert!(matches!(error, OnnxError::IncompleteCut { inputs, .. } if inputs == ["x"]));
    let (_, decoder) = split_at(&model, &["a", "shape"]).unwrap();
    let kind = graph(&decoder).input[1].r#type.as_ref().unwrap().value.as_ref().unwrap();
    assert!(matches!(kind, Value::TensorType(tensor) if tensor.elem_type() == DataType::Int64 as i32));
}

#[test]
fn operators_before_version_7_are_refused() {
    let mut model = skip();
    model.opset_import[0].version = Some(6);
    assert_eq!(find_cuts(&model, &[]), Err(OnnxError::UnsupportedOpset { version: 6 }));
    assert_eq!(split_model(&model, "p").unwrap_err(), OnnxError::UnsupportedOpset { version: 6 });
}

#[test]
fn thousands_of_nodes_are_listed() {
    let mut builder = GraphBuilder::new("deep");
    let mut last = builder.add_input("x", &["n".into(), 4.into()]);
    for index in 0..20_000 {
        last = builder.relu(&last, &format!("t{index}"));
    }
    builder.add_output("t19999", &["n".into(), 4.into()]);
    let cuts = find_cuts(&builder.build(), &[]).unwrap();
    assert_eq!(cuts.len(), 19_999);
    assert_eq!(cuts[19_998].shape.as_ref().unwrap()[0].to_string(), "n");
}

#[test]
fn an_unknown_operator_leaves_the_other_half_known() {
    let mut builder = GraphBuilder::new("mystery");
    builder.add_input("x", &[1.into(), 4.into()]);
    let w = builder.add_initializer("w", &[4, 4], &[0.5; 16]).unwrap();
    builder.add_node("MatMul", &["x", &w], "a", &[]);
    builder.add_node("Mystery", &["a"], "b", &[]);
    builder.add_node("MatMul", &["b", &w], "y", &[]);
    builder.add_output("y", &[1.into(), 4.into()]);
    let cuts = find_cuts(&builder.build(), &[]).unwrap();
    let unknown = Err(OnnxError::UnknownShape { op: "Mystery".into(), node: "b".into() });
    assert_eq!((cuts[0].encoder.macs.clone(), cuts[0].element_count), (Ok(16), Some(4)));
    assert_eq!((cuts[0].decoder.macs.clone(), cuts[0].decoder.parameters), (unknown, 16));
    assert_eq!((cuts[1].encoder.macs.clone(), cuts[1].shape.clone()), (Ok(16), None));
}

fn external(entries: &[(&str, &str)]) -> ModelProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: Some((*key).to_owned()),
        value: Some((*value).to_owned()),
    };
    let tensor = TensorProto {
        name: Some("w".into()),
        dims: vec![2],
        data_type: Some(DataType::Float.into()),
        data_location: Some(DataLocation::External.into()),
        external_data: entries.iter().map(entry).collect(),
        ..TensorProto::default()
    };
    let node =
        NodeProto { output: vec!["y".into()], op_type: Some("Identity".into()), ..NodeProto::default() };
    let graph = GraphProto { initializer: vec![tensor], node: vec![node], ..GraphProto::default() };
    let opset_import = vec![OperatorSetIdProto { domain: None, version: Some(17) }];
    ModelProto { graph: Some(graph), opset_import, ..ModelProto::default() }
}

#[test]
fn external_values_are_loaded_into_the_model() {
    let mut model = external(&[("location", "weights/w.bin"), ("offset", "16"), ("length", "8")]);
    let mut requests = Vec::new();
    let count = load_external_data(&mut model, &mut |path, offset, length| {
        requests.push((path.to_owned(), offset, length));
        Ok(vec![7; length])
    });
    assert_eq!((count, requests), (Ok(1), vec![("weights/w.bin".into(), 16, 8)]));
    let tensor = &graph(&model).initializer[0];
    assert_eq!((tensor.raw_data(), tensor.external_data.len()), (&[7; 8][..], 0));
    assert_eq!(tensor.data_location(), DataLocation::Default);
}

#[test]
fn external_values_from_elsewhere_are_refused() {
    for (entries, reason) in [
        (&[][..], "no location"),
        (&[("location", "")], "model's folder"),
        (&[("location", "../secret")], "model's folder"),
        (&[("location", "a/../../secret")], "model's folder"),
        (&[("location", "/etc/passwd")], "model's folder"),
        (&[("location", "C:\\secret")], "model's folder"),
        (&[("location", "w"), ("length", "9")], "take 8"),
        (&[("location", "w"), ("length", "99999999999999999999")], "not a number"),
        (&[("location", "w"), ("offset", "-1")], "not a number"),
        (&[("location", "w")], "3 of 8 bytes"),
    ] {
        let result = load_external_data(&mut external(entries), &mut |_, _, _| Ok(vec![0; 3]));
        let Err(OnnxError::ExternalData { tensor, reason: found, .. }) = result else {
            panic!("{entries:?}")
        };
        assert!(tensor == "w" && found.contains(reason), "{entries:?}: {found}");
    }
    let mut huge = external(&[("location", "w")]);
    huge.graph.as_mut().unwrap().initializer[0].dims = vec![1 << 40];
    let result = load_external_data(&mut huge, &mut |_, _, _| unreachable!("no file is read")).unwrap_err();
    assert!(result.to_string().contains("2 GiB"), "{result}");
}
