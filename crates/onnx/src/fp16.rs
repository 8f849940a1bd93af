//! Converts a model to 16-bit floats.
//!
//! ```text
//! inputs f32 ──Cast──► the model's nodes, in f16 ──Cast──► outputs f32
//! ```
//! Invariants: names, types and shapes of inputs and outputs stay the same, and so does every tensor that is
//! not `f32`. Operands that the standard requires to be `f32` whatever the type of the others, which are the
//! scales of a `Resize`, stay `f32`. If such an operand is an initializer, its values stay exact.
//!
//! Values are saturated at ±65,504, and a nonzero value is never rounded to 0 (the smallest magnitude is
//! 2⁻²⁴), so that a `Clip` to the largest `f32` and a small divisor keep their meaning. The caller must
//! measure the loss of precision.

use std::collections::{HashMap, HashSet};

use half::f16;

use crate::{
    OnnxError,
    graph::{Graph, Origin, checked_graph, is_standard, node_bodies, node_label, node_outputs},
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
        attribute_proto::AttributeType, tensor_proto::DataType, type_proto,
    },
    types::{ElementTypes, element_type},
};

const FLOAT: i32 = DataType::Float as i32;
const FLOAT16: i32 = DataType::Float16 as i32;

/// Returns the same model in 16-bit floats; inputs and outputs stay `f32`.
///
/// # Errors
/// [`OnnxError::Fp16Unsupported`] with the name of a node or tensor that cannot be converted: operators of other
/// vendors, graphs within nodes, quantised operators, values in another file. [`OnnxError::NoGraph`],
/// [`OnnxError::UnsupportedOpset`], [`OnnxError::DuplicateTensor`] or [`OnnxError::UndefinedTensor`] for a
/// malformed model.
pub fn convert_to_fp16(model: &ModelProto) -> Result<ModelProto, OnnxError> {
    let proto = checked_graph(model)?;
    let graph = Graph::new(proto)?;
    if !model.functions.is_empty() {
        return Err(fp16_error(model.functions[0].name(), "the model defines functions: inline them"));
    }
    proto.node.iter().try_for_each(check_convertible)?;
    let converted = Fp16Converter::new(proto, &graph).convert_graph(proto)?;
    Ok(ModelProto { graph: Some(converted), ..model.clone() })
}

/// Operators that compute in integers with `f32` scales.
const QUANTISED_OPS: [&str; 7] = [
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
];

fn check_convertible(node: &NodeProto) -> Result<(), OnnxError> {
    if !is_standard(node) {
        return Err(fp16_error(node_label(node), "its operator is not a standard ONNX operator"));
    }
    if node_bodies(node).next().is_some() {
        return Err(fp16_error(node_label(node), "it contains a subgraph"));
    }
    if QUANTISED_OPS.contains(&node.op_type()) {
        return Err(fp16_error(node_label(node), "it is already quantised"));
    }
    Ok(())
}

fn fp16_error(name: &str, reason: &'static str) -> OnnxError {
    OnnxError::Fp16Unsupported { name: name.to_owned(), reason }
}

/// Returns whether an operand must be `f32` whatever the type of the others.
fn is_pinned(node: &NodeProto, operand: usize) -> bool {
    matches!((node.op_type(), operand), ("Resize", 1 | 2) | ("Upsample", 1))
}

/// The state of the conversion of one graph.
struct Fp16Converter<'a> {
    /// Names that keep `f32` tensors: inputs, outputs, and initializers of pinned operands.
    kept_f32: HashSet<&'a str>,
    /// The names of the 16-bit counterparts of the `f32` tensors in `kept`.
    fp16_names: HashMap<&'a str, String>,
    graph: &'a Graph<'a>,
    types: ElementTypes<'a>,
    nodes: Vec<NodeProto>,
}

impl<'a> Fp16Converter<'a> {
    fn new(proto: &'a GraphProto, graph: &'a Graph<'a>) -> Self {
        let infos = proto.input.iter().chain(&proto.output);
        let floats = infos.filter(|info| element_type(info) == Some(FLOAT)).map(ValueInfoProto::name);
        let operands = proto.node.iter().flat_map(|node| {
            let inputs = node.input.iter().enumerate();
            inputs.filter(move |(operand, _)| is_pinned(node, *operand)).map(|(_, name)| name.as_str())
        });
        let constants = operands.filter(|name| graph.origin(name) == Some(Origin::Initializer));
        let kept_f32: HashSet<&str> = floats.chain(constants).collect();
        let mut converter = Self {
            kept_f32,
            fp16_names: HashMap::new(),
            graph,
            types: ElementTypes::new(proto),
            nodes: Vec::new(),
        };
        for &name in &converter.kept_f32 {
            if converter.types.type_of(name) == Some(FLOAT) {
                converter.fp16_names.insert(name, converter.fresh_name(name, "f16"));
            }
        }
        converter
    }

    /// Returns a name that does not occur in the graph.
    fn fresh_name(&self, name: &str, suffix: &str) -> String {
        let mut unique_name = format!("{name}.{suffix}");
        while self.graph.origin(&unique_name).is_some() {
            unique_name.push('_');
        }
        unique_name
    }

    fn convert_graph(mut self, proto: &'a GraphProto) -> Result<GraphProto, OnnxError> {
        let initializer = proto.initializer.iter().map(|tensor| {
            if self.kept_f32.contains(tensor.name()) { Ok(tensor.clone()) } else { convert_tensor(tensor) }
        });
        let initializer = initializer.collect::<Result<_, _>>()?;
        let mut source_names: Vec<&str> =
            self.fp16_names.keys().copied().filter(|name| !self.is_computed(name)).collect();
        source_names.sort_unstable();
        for name in source_names {
            self.push_cast(name, &self.fp16_names[name].clone(), FLOAT16);
        }
        proto.node.iter().try_for_each(|node| self.convert_node(node))?;
        for output in &proto.output {
            if self.is_computed(output.name())
                && let Some(fp16_name) = self.fp16_names.get(output.name()).cloned()
            {
                self.push_cast(&fp16_name, output.name(), FLOAT);
            }
        }
        let value_info = proto.value_info.iter().filter(|info| !self.kept_f32.contains(info.name()));
        Ok(GraphProto {
            initializer,
            value_info: value_info.map(convert_value_info).collect(),
            node: self.nodes,
            ..proto.clone()
        })
    }

    fn is_computed(&self, name: &str) -> bool {
        matches!(self.graph.origin(name), Some(Origin::Node(_)))
    }

    fn push_cast(&mut self, input: &str, output: &str, element: i32) {
        let attribute = AttributeProto {
            name: Some("to".to_owned()),
            r#type: Some(AttributeType::Int.into()),
            i: Some(element.into()),
            ..AttributeProto::default()
        };
        self.nodes.push(NodeProto {
            op_type: Some("Cast".to_owned()),
            input: vec![input.to_owned()],
            output: vec![output.to_owned()],
            attribute: vec![attribute],
            ..NodeProto::default()
        });
    }

    fn convert_node(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let mut converted = node.clone();
        for (operand, name) in node.input.iter().enumerate() {
            converted.input[operand] = self.operand_name(node, operand, name);
        }
        for output in &mut converted.output {
            if let Some(fp16_name) = self.fp16_names.get(output.as_str()) {
                output.clone_from(fp16_name);
            }
        }
        convert_attributes(&mut converted)?;
        self.nodes.push(converted);
        Ok(())
    }

    /// Returns the name under which the converted node reads a tensor, and adds a cast to `f32` if the
    /// operand needs one.
    fn operand_name(&mut self, node: &NodeProto, operand: usize, name: &str) -> String {
        let fp16_name = self.fp16_names.get(name).cloned().unwrap_or_else(|| name.to_owned());
        if !is_pinned(node, operand) || self.types.type_of(name) != Some(FLOAT) {
            return fp16_name;
        }
        if !self.is_computed(name) {
            return name.to_owned();
        }
        let f32_name = self
            .fresh_name(name, &format!("f32.{}.{operand}", node_outputs(node).next().unwrap_or_default()));
        self.push_cast(&fp16_name, &f32_name, FLOAT);
        f32_name
    }
}

/// Converts the values of constants, and turns casts to `f32` into casts to `f16`.
fn convert_attributes(node: &mut NodeProto) -> Result<(), OnnxError> {
    let name = node_label(node).to_owned();
    match node.op_type() {
        "Cast" => {
            let mut attributes = node.attribute.iter_mut();
            if let Some(attribute) =
                attributes.find(|attribute| attribute.name() == "to" && attribute.i() == i64::from(FLOAT))
            {
                attribute.i = Some(FLOAT16.into());
            }
        }
        "Constant" => node.attribute.iter_mut().try_for_each(|value| convert_constant(value, &name))?,
        "ConstantOfShape" => match node.attribute.first_mut() {
            Some(value) => convert_constant(value, &name)?,
            // The default value is 0 as `f32`.
            None => node.attribute.push(tensor_attribute(fp16_tensor(&[1], &[0.0]))),
        },
        _ => {}
    }
    Ok(())
}

/// Converts the value of a `Constant`.
fn convert_constant(value: &mut AttributeProto, node: &str) -> Result<(), OnnxError> {
    let converted = match value.name() {
        "value" => value.t.as_ref().map(convert_tensor).transpose()?,
        "value_float" => Some(fp16_tensor(&[], &[value.f()])),
        "value_floats" => Some(fp16_tensor(&[value.floats.len() as i64], &value.floats)),
        "sparse_value" => return Err(fp16_error(node, "its value is sparse")),
        _ => None,
    };
    if let Some(tensor) = converted {
        *value = tensor_attribute(tensor);
    }
    Ok(())
}

fn tensor_attribute(tensor: TensorProto) -> AttributeProto {
    AttributeProto {
        name: Some("value".to_owned()),
        r#type: Some(AttributeType::Tensor.into()),
        t: Some(tensor),
        ..AttributeProto::default()
    }
}

/// Returns a stored tensor in 16-bit floats; a tensor that is not `f32` is returned unchanged.
fn convert_tensor(tensor: &TensorProto) -> Result<TensorProto, OnnxError> {
    if tensor.data_type() != FLOAT {
        return Ok(tensor.clone());
    }
    if !tensor.external_data.is_empty() {
        return Err(fp16_error(tensor.name(), "its values are in another file"));
    }
    let values: Vec<f32> = match tensor.raw_data() {
        [] => tensor.float_data.clone(),
        raw => raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    };
    Ok(TensorProto { name: tensor.name.clone(), ..fp16_tensor(&tensor.dims, &values) })
}

fn fp16_tensor(dims: &[i64], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|&value| nearest_fp16(value).to_le_bytes()).collect();
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(FLOAT16),
        raw_data: Some(bytes),
        ..TensorProto::default()
    }
}

/// Returns the nearest 16-bit float that is finite and not 0. Zeros, infinities and NaN are kept.
fn nearest_fp16(value: f32) -> f16 {
    let rounded = f16::from_f32(value);
    if value == 0.0 || !value.is_finite() {
        rounded
    } else if rounded.is_infinite() {
        f16::MAX.copysign(rounded)
    } else if rounded == f16::ZERO {
        f16::MIN_POSITIVE_SUBNORMAL.copysign(rounded)
    } else {
        rounded
    }
}

/// Returns the type and shape of a tensor, with `f32` replaced by `f16`.
fn convert_value_info(info: &ValueInfoProto) -> ValueInfoProto {
    let mut info = info.clone();
    if let Some(type_proto::Value::TensorType(tensor)) =
        info.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        && tensor.elem_type == Some(FLOAT)
    {
        tensor.elem_type = Some(FLOAT16);
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attribute, GraphBuilder, encode_model, split_model, testing};

    fn ops(model: &ModelProto) -> Vec<(&str, &str)> {
        testing::graph(model).node.iter().map(|node| (node.op_type(), node_label(node))).collect()
    }

    #[test]
    fn an_mlp_is_cast_at_its_ends_and_has_half_the_size() {
        let model = testing::small_mlp();
        let converted = convert_to_fp16(&model).unwrap();
        let (first, last) = (ops(&converted)[0], *ops(&converted).last().unwrap());
        assert_eq!((first, last), (("Cast", "x.f16"), ("Cast", "y")));
        let graph = testing::graph(&converted);
        assert_eq!(graph.node[1].input, ["x.f16", "w1", "b1"]);
        assert_eq!(graph.node[graph.node.len() - 2].output, ["y.f16"]);
        assert!(graph.initializer.iter().all(|tensor| tensor.data_type() == FLOAT16));
        assert_eq!(
            (&graph.input, &graph.output),
            (&testing::graph(&model).input, &testing::graph(&model).output)
        );
        let latent = graph.value_info.iter().find(|info| info.name() == "latent").unwrap();
        assert_eq!(element_type(latent), Some(FLOAT16));
        let weights = |model: &ModelProto| {
            testing::graph(model).initializer.iter().map(|tensor| tensor.raw_data().len()).sum::<usize>()
        };
        assert_eq!(2 * weights(&converted), weights(&model));
        // A second conversion changes nothing, except that it adds casts.
        assert!(split_model(&convert_to_fp16(&converted).unwrap(), "latent").is_ok());
    }

    #[test]
    fn scales_stay_in_single_precision() {
        let mut graph = GraphBuilder::new("g");
        let x = graph.add_input("x", &[1.into(), 1.into(), "h".into(), "w".into()]);
        let scales = graph.add_initializer("scales", &[4], &[1.0, 1.0, 1.3333, 1.3333]).unwrap();
        let resized = graph.add_node("Resize", &[&x, "", &scales], "resized", &[]);
        let moved = graph.add_node("Add", &[&resized, &resized], "moved", &[]);
        let computed = graph.add_node("Mul", &[&scales, &scales], "computed", &[]);
        let y = graph.add_node("Resize", &[&moved, "", &computed], "y", &[]);
        graph.add_output(&y, &[1.into(), 1.into(), "h".into(), "w".into()]);
        let converted = convert_to_fp16(&graph.build()).unwrap();
        let graph = testing::graph(&converted);
        let node = |name: &str| graph.node.iter().find(|node| node_label(node) == name).unwrap();
        assert_eq!(graph.initializer[0].data_type(), FLOAT);
        assert_eq!(node("resized").input, ["x.f16", "", "scales"]);
        assert_eq!(node("computed").input, ["scales.f16", "scales.f16"]);
        assert_eq!(node("computed.f32.y.2").input, ["computed"]);
        let last = graph.node.iter().rfind(|node| node.op_type() == "Resize").unwrap();
        assert_eq!((&last.input[2], &last.output[0]), (&"computed.f32.y.2".to_owned(), &"y.f16".to_owned()));
        assert!(Graph::new(graph).is_ok());
    }

    #[test]
    fn float_constants_and_casts_become_half_precision() {
        let mut graph = GraphBuilder::new("g");
        let x = graph.add_input("x", &["n".into()]);
        let to = |element: i32| [("to", Attribute::Int(element.into()))];
        let whole = graph.add_node("Cast", &[&x], "whole", &to(DataType::Int64 as i32));
        let back = graph.add_node("Cast", &[&whole], "back", &to(FLOAT));
        let half = graph.add_node("Constant", &[], "half", &[("value_float", Attribute::Float(0.5))]);
        let y = graph.add_node("Mul", &[&back, &half], "y", &[]);
        graph.add_output(&y, &["n".into()]);
        let converted = convert_to_fp16(&graph.build()).unwrap();
        let node = |name: &str| {
            testing::graph(&converted).node.iter().find(|node| node_label(node) == name).unwrap()
        };
        assert_eq!(node("whole").attribute[0].i(), i64::from(DataType::Int64 as i32));
        assert_eq!(node("back").attribute[0].i(), i64::from(FLOAT16));
        let half = node("half").attribute[0].t.as_ref().unwrap();
        assert_eq!((half.data_type(), half.raw_data(), half.dims.len()), (FLOAT16, &[0, 0x38][..], 0));
    }

    #[test]
    fn no_number_overflows_or_vanishes() {
        assert_eq!(nearest_fp16(1e9), f16::MAX);
        assert_eq!(nearest_fp16(f32::MIN), f16::MIN);
        assert_eq!(nearest_fp16(-1e-12).to_bits(), 0x8001);
        assert_eq!((nearest_fp16(0.0), nearest_fp16(1.5)), (f16::ZERO, f16::from_f32(1.5)));
        assert!(nearest_fp16(f32::NAN).is_nan() && nearest_fp16(f32::INFINITY).is_infinite());
    }

    #[test]
    fn values_without_a_half_precision_form_are_refused_by_name() {
        let mut graph = GraphBuilder::new("g");
        let x = graph.add_input("x", &["n".into()]);
        let scale = graph.add_initializer("scale", &[], &[0.1]).unwrap();
        graph.add_node("QuantizeLinear", &[&x, &scale], "q", &[]);
        graph.add_output("q", &["n".into()]);
        let mut model = graph.build();
        assert_eq!(convert_to_fp16(&model), Err(fp16_error("q", "it is already quantised")));
        model.graph.as_mut().unwrap().node[0].domain = Some("com.microsoft".into());
        assert_eq!(
            convert_to_fp16(&model),
            Err(fp16_error("q", "its operator is not a standard ONNX operator"))
        );
        assert_eq!(convert_to_fp16(&ModelProto::default()), Err(OnnxError::NoGraph));
    }

    #[test]
    fn equal_models_give_equal_bytes() {
        let bytes = || encode_model(&convert_to_fp16(&testing::small_mlp()).unwrap());
        assert_eq!(bytes(), bytes());
    }
}
