//! The values of small integer tensors, which other nodes read as shapes, axes and indices.

use super::layout::{list_argument, resolve_axis, slice_bounds, slice_length};
use crate::{
    graph::{find_attribute, int_attribute},
    proto::{NodeProto, tensor_proto::DataType},
    shape::checked_product,
    shapes::Shapes,
    stored_values::{MAX_VALUES, stored_integers},
};

/// Returns the values of the node's first output if they follow from shapes and known integers.
pub(crate) fn output_values(node: &NodeProto, shapes: &Shapes<'_>) -> Option<Vec<i64>> {
    let found = match node.op_type() {
        "Shape" => shape_values(node, shapes)?,
        "Size" => vec![i64::try_from(checked_product(shapes.input_shape(node, 0).ok()?)?).ok()?],
        "Cast" if is_integer(int_attribute(node, "to", 0)) => shapes.input_integers(node, 0)?.to_vec(),
        "Identity" | "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" => {
            shapes.input_integers(node, 0)?.to_vec()
        }
        "Gather" => gather(node, shapes)?,
        "Slice" => slice(node, shapes)?,
        "Concat" => concat_values(node, shapes)?,
        "ConstantOfShape" => fill_values(node, shapes.input_integers(node, 0)?)?,
        "ReduceProd" => {
            let mut values = shapes.input_integers(node, 0)?.iter();
            vec![values.try_fold(1_i64, |product, &value| product.checked_mul(value))?]
        }
        "Where" => select(node, shapes)?,
        "Equal" => combine_elementwise(node, shapes, |a, b| Some(i64::from(a == b)))?,
        "Add" => combine_elementwise(node, shapes, i64::checked_add)?,
        "Sub" => combine_elementwise(node, shapes, i64::checked_sub)?,
        "Mul" => combine_elementwise(node, shapes, i64::checked_mul)?,
        "Div" => combine_elementwise(node, shapes, i64::checked_div)?,
        "Min" if node.input.len() == 2 => combine_elementwise(node, shapes, |a, b| Some(a.min(b)))?,
        "Max" if node.input.len() == 2 => combine_elementwise(node, shapes, |a, b| Some(a.max(b)))?,
        _ => return None,
    };
    (found.len() <= MAX_VALUES).then_some(found)
}

fn is_integer(data_type: i64) -> bool {
    [DataType::Int64, DataType::Int32, DataType::Bool].iter().any(|&known| known as i64 == data_type)
}

fn shape_values(node: &NodeProto, shapes: &Shapes<'_>) -> Option<Vec<i64>> {
    let input = shapes.input_shape(node, 0).ok()?;
    let (start, stop) = slice_bounds(
        input.len() as u64,
        int_attribute(node, "start", 0),
        int_attribute(node, "end", i64::MAX),
        1,
    )?;
    let selected =
        input.get(usize::try_from(start).ok()?..usize::try_from(stop).ok()?.max(start as usize))?;
    selected.iter().map(|&dim| i64::try_from(dim).ok()).collect()
}

fn gather(node: &NodeProto, shapes: &Shapes<'_>) -> Option<Vec<i64>> {
    let (input, indices) = (shapes.input_integers(node, 0)?, shapes.input_integers(node, 1)?);
    if shapes.input_shape(node, 0).ok()?.len() != 1 {
        return None;
    }
    indices.iter().map(|&index| input.get(resolve_axis(index, input.len())?).copied()).collect()
}

fn slice(node: &NodeProto, shapes: &Shapes<'_>) -> Option<Vec<i64>> {
    let input = shapes.input_integers(node, 0)?;
    if shapes.input_shape(node, 0).ok()?.len() != 1 {
        return None;
    }
    let start = only_value(node, shapes, (1, "starts"), None)?;
    let end = only_value(node, shapes, (2, "ends"), None)?;
    let step = only_value(node, shapes, (4, "steps"), Some(1))?;
    let count = slice_length(input.len() as u64, start, end, step)?;
    let (first, _) = slice_bounds(input.len() as u64, start, end, step)?;
    let values = (0..count).map(|index| {
        let position = first.checked_add(i64::try_from(index).ok()?.checked_mul(step)?)?;
        input.get(usize::try_from(position).ok()?).copied()
    });
    values.collect()
}

/// Returns the only value of a [`list_argument`], or the default if the argument is left out.
fn only_value(
    node: &NodeProto,
    shapes: &Shapes<'_>,
    (index, name): (usize, &str),
    default: Option<i64>,
) -> Option<i64> {
    match list_argument(node, shapes, index, name).ok()?.as_deref() {
        Some([value]) => Some(*value),
        None => default,
        Some(_) => None,
    }
}

fn concat_values(node: &NodeProto, shapes: &Shapes<'_>) -> Option<Vec<i64>> {
    let mut values = Vec::new();
    for index in 0..node.input.len() {
        if shapes.input_shape(node, index).ok()?.len() != 1 || values.len() > MAX_VALUES {
            return None;
        }
        values.extend_from_slice(shapes.input_integers(node, index)?);
    }
    Some(values)
}

fn fill_values(node: &NodeProto, dims: &[i64]) -> Option<Vec<i64>> {
    let count = dims.iter().try_fold(1_i64, |product, &dim| product.checked_mul(dim))?;
    let count = usize::try_from(count).ok().filter(|&count| count <= MAX_VALUES)?;
    let value = find_attribute(node, "value").and_then(|value| value.t.as_ref())?;
    let [value] = stored_integers(value)?[..] else { return None };
    Some(vec![value; count])
}

/// Applies an operation elementwise to the first two inputs; a list of one element combines with a list of
/// any length.
fn combine_elementwise(
    node: &NodeProto,
    shapes: &Shapes<'_>,
    operation: impl Fn(i64, i64) -> Option<i64>,
) -> Option<Vec<i64>> {
    match (shapes.input_integers(node, 0)?, shapes.input_integers(node, 1)?) {
        ([a], b) => b.iter().map(|&b| operation(*a, b)).collect(),
        (a, [b]) => a.iter().map(|&a| operation(a, *b)).collect(),
        (a, b) if a.len() == b.len() => a.iter().zip(b).map(|(&a, &b)| operation(a, b)).collect(),
        _ => None,
    }
}

fn select(node: &NodeProto, shapes: &Shapes<'_>) -> Option<Vec<i64>> {
    let condition = shapes.input_integers(node, 0)?;
    let (if_true, if_false) = (shapes.input_integers(node, 1)?, shapes.input_integers(node, 2)?);
    let values = (0..condition.len().max(if_true.len()).max(if_false.len())).map(|index| {
        let flag = broadcast_element(condition, index)?;
        broadcast_element(if flag != 0 { if_true } else { if_false }, index)
    });
    values.collect()
}

/// Returns an element of a list; a list of one element stands for a list of any length.
fn broadcast_element(list: &[i64], index: usize) -> Option<i64> {
    let element = if list.len() == 1 { list.first() } else { list.get(index) };
    element.copied()
}
