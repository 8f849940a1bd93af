//! The element type of each tensor of a graph, as far as it can be derived from the standard operators.

use std::collections::HashMap;

use crate::{
    graph::{find_attribute, is_standard},
    proto::{GraphProto, NodeProto, ValueInfoProto, tensor_proto::DataType, type_proto},
};

/// Element types by tensor name, as the numbers of ONNX's `TensorProto.DataType`.
pub(crate) struct ElementTypes<'a>(HashMap<&'a str, i32>);

impl<'a> ElementTypes<'a> {
    pub(crate) fn new(graph: &'a GraphProto) -> Self {
        let mut types = Self(HashMap::new());
        for tensor in &graph.initializer {
            types.0.insert(tensor.name(), tensor.data_type());
        }
        let declared = graph.input.iter().chain(&graph.value_info).chain(&graph.output);
        types.0.extend(declared.filter_map(|info| Some((info.name(), element_type(info)?))));
        for node in &graph.node {
            for (index, output) in node.output.iter().enumerate() {
                if !types.0.contains_key(output.as_str())
                    && let Some(element) = types.output_type(node, index)
                {
                    types.0.insert(output, element);
                }
            }
        }
        types
    }

    pub(crate) fn type_of(&self, tensor: &str) -> Option<i32> {
        self.0.get(tensor).copied()
    }

    fn input_type(&self, node: &NodeProto, index: usize) -> Option<i32> {
        node.input.get(index).and_then(|name| self.type_of(name))
    }

    fn output_type(&self, node: &NodeProto, index: usize) -> Option<i32> {
        if !is_standard(node) {
            return None;
        }
        let bool = Some(DataType::Bool as i32);
        let int64 = Some(DataType::Int64 as i32);
        match (node.op_type(), index) {
            ("If" | "Loop" | "Scan" | "Optional" | "SequenceAt", _) => None,
            ("Cast", _) => find_attribute(node, "to").and_then(|to| i32::try_from(to.i()).ok()),
            ("Constant" | "ConstantOfShape", _) => Some(constant_type(node)),
            ("Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero", _) | ("TopK" | "MaxPool", 1) => int64,
            (
                "And" | "Or" | "Xor" | "Not" | "Equal" | "Greater" | "GreaterOrEqual" | "Less"
                | "LessOrEqual" | "IsNaN" | "IsInf",
                _,
            )
            | ("Dropout", 1) => bool,
            ("QuantizeLinear", _) => self.input_type(node, 2).or(Some(DataType::Uint8 as i32)),
            ("DynamicQuantizeLinear", 0) => Some(DataType::Uint8 as i32),
            ("ConvInteger" | "MatMulInteger", _) => Some(DataType::Int32 as i32),
            ("QLinearConv" | "QLinearMatMul", _) => self.input_type(node, 7),
            ("DequantizeLinear" | "Where", _) => self.input_type(node, 1),
            _ => self.input_type(node, 0),
        }
    }
}

/// Returns the declared element type of a tensor.
pub(crate) fn element_type(info: &ValueInfoProto) -> Option<i32> {
    match info.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => tensor.elem_type,
        _ => None,
    }
}

fn constant_type(node: &NodeProto) -> i32 {
    if let Some(tensor) = find_attribute(node, "value").and_then(|value| value.t.as_ref()) {
        return tensor.data_type();
    }
    let integer = node.attribute.iter().any(|attribute| attribute.name().starts_with("value_int"));
    if integer { DataType::Int64 as i32 } else { DataType::Float as i32 }
}
