//! Replaces `Shape` nodes whose result the model's declared dimensions determine by constants.

use std::borrow::Cow;

use crate::{
    graph::{is_standard, node_outputs},
    proto::{
        AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType,
        tensor_proto::DataType,
    },
    rules::values,
    shape_inference::infer_node,
    shapes::Shapes,
};

/// Returns the graph with a `Constant` in place of each `Shape` of a tensor whose shape does not depend on
/// the caller.
pub(crate) fn fold_shapes(graph: &GraphProto) -> Cow<'_, GraphProto> {
    let known = known_shapes(graph);
    if known.is_empty() {
        return Cow::Borrowed(graph);
    }
    let mut graph = graph.clone();
    for (index, dims) in known {
        replace_by_constant(&mut graph.node[index], dims);
    }
    Cow::Owned(graph)
}

/// Returns the index of each such node and the dimensions that it outputs.
fn known_shapes(graph: &GraphProto) -> Vec<(usize, Vec<i64>)> {
    if !graph.node.iter().any(is_shape_node) {
        return Vec::new();
    }
    let mut shapes = Shapes::new(graph, &[]);
    let mut known = Vec::new();
    for (index, node) in graph.node.iter().enumerate() {
        if is_shape_node(node)
            && node_outputs(node).count() == 1
            && let Some(dims) = values::output_values(node, &shapes)
        {
            known.push((index, dims));
        }
        infer_node(&mut shapes, node);
    }
    known
}

fn is_shape_node(node: &NodeProto) -> bool {
    is_standard(node) && node.op_type() == "Shape"
}

fn replace_by_constant(node: &mut NodeProto, dims: Vec<i64>) {
    let tensor = TensorProto {
        dims: vec![dims.len() as i64],
        data_type: Some(DataType::Int64.into()),
        int64_data: dims,
        ..TensorProto::default()
    };
    node.op_type = Some("Constant".to_owned());
    node.input.clear();
    node.attribute = vec![AttributeProto {
        name: Some("value".to_owned()),
        r#type: Some(AttributeType::Tensor.into()),
        t: Some(tensor),
        ..AttributeProto::default()
    }];
}
