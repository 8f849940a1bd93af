//! Derives the shapes of a graph's tensors, node by node.

use crate::{
    OnnxError,
    graph::{is_standard, node_outputs},
    proto::NodeProto,
    rules,
    shape::Shape,
    shapes::{Shapes, unknown_shape},
};

/// Derives the shapes of the node's outputs from its inputs' shapes, or failing that uses the declared
/// shapes.
pub(crate) fn infer_node<'a>(shapes: &mut Shapes<'a>, node: &'a NodeProto) {
    let named_outputs =
        node.output.iter().map(String::as_str).enumerate().filter(|(_, name)| !name.is_empty());
    for (index, output) in named_outputs {
        let derived = derive_output(shapes, node, index);
        shapes.record_output(output, derived);
    }
    if is_standard(node)
        && let (Some(name), Some(values)) =
            (node_outputs(node).next(), rules::values::output_values(node, shapes))
    {
        shapes.record_integers(name, values);
    }
}

fn derive_output<'a>(shapes: &mut Shapes<'a>, node: &'a NodeProto, index: usize) -> Result<Shape, OnnxError> {
    if !is_standard(node) {
        return Err(unknown_shape(node));
    }
    if index > 0 {
        return rules::later_output(node, index, shapes)?.ok_or_else(|| unknown_shape(node));
    }
    if node.op_type() == "Constant" {
        return shapes.record_constant_node(node).ok_or_else(|| unknown_shape(node))?;
    }
    rules::output_shape(node, shapes)?.ok_or_else(|| unknown_shape(node))
}
