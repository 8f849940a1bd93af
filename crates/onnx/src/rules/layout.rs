//! Shape rules of operators that move, join, repeat or drop elements.

use crate::{
    graph::{find_attribute, int_attribute},
    proto::NodeProto,
    shape::{MAX_RANK, Shape, broadcast, checked_product},
    shapes::Shapes,
};

/// Returns the index of an axis in a tensor of this rank; negative axes count from the end. `None` if it is
/// out of range.
pub(super) fn resolve_axis(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

/// A list that is computed at run time, so that its values are unknown.
pub(super) struct UnknownList;

/// Returns a list that newer operator sets read as input `index` and older ones store as an attribute; `None`
/// if it is left out.
pub(super) fn list_argument(
    node: &NodeProto,
    shapes: &Shapes<'_>,
    index: usize,
    name: &str,
) -> Result<Option<Vec<i64>>, UnknownList> {
    if node.input.get(index).is_some_and(|input| !input.is_empty()) {
        return shapes.input_integers(node, index).map(|values| Some(values.to_vec())).ok_or(UnknownList);
    }
    Ok(find_attribute(node, name).map(|list| list.ints.clone()))
}

pub(super) fn transpose(node: &NodeProto, input: &[u64]) -> Option<Shape> {
    let Some(order) = find_attribute(node, "perm") else {
        return Some(input.iter().rev().copied().collect());
    };
    if order.ints.len() != input.len() {
        return None;
    }
    let mut seen = vec![false; input.len()];
    let dims = order.ints.iter().map(|&signed_axis| {
        let axis = resolve_axis(signed_axis, input.len())?;
        (!std::mem::replace(&mut seen[axis], true)).then(|| input[axis])
    });
    dims.collect()
}

pub(super) fn squeeze(node: &NodeProto, shapes: &Shapes<'_>, input: &[u64]) -> Option<Shape> {
    let dropped = match list_argument(node, shapes, 1, "axes").ok()? {
        Some(axes) => mark_axes(&axes, input.len())?,
        None => input.iter().map(|&dim| dim == 1).collect(),
    };
    let is_valid = input.iter().zip(&dropped).all(|(&dim, &dropped)| dim == 1 || !dropped);
    is_valid.then(|| input.iter().zip(dropped).filter(|(_, dropped)| !dropped).map(|(&dim, _)| dim).collect())
}

pub(super) fn unsqueeze(node: &NodeProto, shapes: &Shapes<'_>, input: &[u64]) -> Option<Shape> {
    let axes = list_argument(node, shapes, 1, "axes").ok()??;
    let rank = input.len().checked_add(axes.len()).filter(|&rank| rank <= MAX_RANK)?;
    let added = mark_axes(&axes, rank)?;
    let mut rest = input.iter();
    let dims = added.iter().map(|&added| if added { Some(1) } else { rest.next().copied() });
    dims.collect()
}

/// Returns the output shape of `ReduceMean` and similar operators, including `ArgMax` and `ArgMin`, whose
/// only axis is `axis`.
pub(super) fn reduce(node: &NodeProto, shapes: &Shapes<'_>, input: &[u64]) -> Option<Shape> {
    let axes = if node.op_type().starts_with("Arg") {
        Some(vec![int_attribute(node, "axis", 0)])
    } else {
        list_argument(node, shapes, 1, "axes").ok()?.filter(|axes| !axes.is_empty())
    };
    let reduced = match axes {
        Some(axes) => mark_axes(&axes, input.len())?,
        None if int_attribute(node, "noop_with_empty_axes", 0) != 0 => vec![false; input.len()],
        None => vec![true; input.len()],
    };
    let keep_dims = int_attribute(node, "keepdims", 1) != 0;
    let dims = input.iter().zip(reduced).filter(|(_, reduced)| keep_dims || !reduced);
    Some(dims.map(|(&dim, reduced)| if reduced { 1 } else { dim }).collect())
}

pub(super) fn gather(node: &NodeProto, input: &[u64], indices: &[u64]) -> Option<Shape> {
    let axis = resolve_axis(int_attribute(node, "axis", 0), input.len())?;
    let out = [&input[..axis], indices, &input[axis + 1..]].concat();
    (out.len() <= MAX_RANK).then_some(out)
}

/// Returns the shapes of the outputs of `Split`.
pub(super) fn split(node: &NodeProto, shapes: &Shapes<'_>) -> Option<Vec<Shape>> {
    let input = shapes.input_shape(node, 0).ok()?;
    let axis = resolve_axis(int_attribute(node, "axis", 0), input.len())?;
    let output_count = node.output.len() as u64;
    let sizes: Vec<u64> = if let Some(sizes) = list_argument(node, shapes, 1, "split").ok()? {
        sizes.iter().map(|&size| u64::try_from(size).ok()).collect::<Option<_>>()?
    } else {
        // All parts are as large as the first, except the last.
        let size = input[axis].div_ceil(output_count.max(1));
        (0..output_count)
            .map(|index| input[axis].saturating_sub(index.saturating_mul(size)).min(size))
            .collect()
    };
    let total = sizes.iter().try_fold(0_u64, |sum, &size| sum.checked_add(size))?;
    (total == input[axis] && sizes.len() as u64 == output_count)
        .then(|| sizes.into_iter().map(|size| replace_extent(input, axis, size)).collect())
}

fn replace_extent(shape: &[u64], axis: usize, extent: u64) -> Shape {
    let mut shape = shape.to_vec();
    shape[axis] = extent;
    shape
}

/// Returns the output shape of `Slice`. Negative starts and ends count from the end; both are clamped to the
/// extent.
pub(super) fn slice(node: &NodeProto, shapes: &Shapes<'_>, input: &[u64]) -> Option<Shape> {
    let (starts, ends) =
        (list_argument(node, shapes, 1, "starts").ok()??, list_argument(node, shapes, 2, "ends").ok()??);
    let axes = match list_argument(node, shapes, 3, "axes").ok()? {
        Some(axes) => axes,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = list_argument(node, shapes, 4, "steps").ok()?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&len| len != starts.len()) {
        return None;
    }
    let mut out = input.to_vec();
    for (index, &signed_axis) in axes.iter().enumerate() {
        let axis = resolve_axis(signed_axis, input.len())?;
        out[axis] = slice_length(input[axis], starts[index], ends[index], steps[index])?;
    }
    Some(out)
}

/// Returns the number of elements that a slice takes along an axis of this extent.
pub(super) fn slice_length(extent: u64, start: i64, end: i64, step: i64) -> Option<u64> {
    let (first, stop) = slice_bounds(extent, start, end, step)?;
    let span = if step > 0 { stop.checked_sub(first)? } else { first.checked_sub(stop)? };
    Some(u64::try_from(span).unwrap_or(0).div_ceil(step.unsigned_abs()))
}

/// Returns the first index of a slice and the index before which it stops.
pub(super) fn slice_bounds(extent: u64, start: i64, end: i64, step: i64) -> Option<(i64, i64)> {
    let extent = i64::try_from(extent).ok()?;
    let [start, end] =
        [start, end].map(|position| if position < 0 { position.saturating_add(extent) } else { position });
    match step {
        0 => None,
        1.. => Some((start.clamp(0, extent), end.clamp(0, extent))),
        // With a negative step, the last element is the furthest start, and one before the first the furthest
        // stop.
        _ => Some((start.clamp(-1, extent - 1), end.clamp(-1, extent - 1))),
    }
}

pub(super) fn pad(node: &NodeProto, shapes: &Shapes<'_>, input: &[u64]) -> Option<Shape> {
    let pads = list_argument(node, shapes, 1, "pads").ok()??;
    let axes: Vec<usize> = match list_argument(node, shapes, 3, "axes").ok()? {
        Some(axes) => {
            axes.iter().map(|&signed_axis| resolve_axis(signed_axis, input.len())).collect::<Option<_>>()?
        }
        None => (0..input.len()).collect(),
    };
    if pads.len() != axes.len().checked_mul(2)? {
        return None;
    }
    let mut out = input.to_vec();
    for (index, &axis) in axes.iter().enumerate() {
        let padding = pads[index].checked_add(pads[index + axes.len()])?;
        out[axis] = out[axis].checked_add_signed(padding)?;
    }
    Some(out)
}

pub(super) fn expand(input: &[u64], target: &[i64]) -> Option<Shape> {
    broadcast(&[input, &shape_from_values(target)?])
}

pub(super) fn tile(input: &[u64], repeats: &[i64]) -> Option<Shape> {
    let repeats = shape_from_values(repeats).filter(|repeats| repeats.len() == input.len())?;
    input.iter().zip(repeats).map(|(dim, repeat)| dim.checked_mul(repeat)).collect()
}

/// Returns the shape that a tensor's values denote.
pub(super) fn shape_from_values(values: &[i64]) -> Option<Shape> {
    let shape: Option<Shape> = values.iter().map(|&dim| u64::try_from(dim).ok()).collect();
    shape.filter(|shape| shape.len() <= MAX_RANK)
}

pub(super) fn space_to_depth(node: &NodeProto, input: &[u64]) -> Option<Shape> {
    let [batch, channels, height, width] = *input else { return None };
    let block = u64::try_from(int_attribute(node, "blocksize", 0)).ok().filter(|&block| block > 0)?;
    let is_divisible = height.is_multiple_of(block) && width.is_multiple_of(block);
    let channels = checked_product(&[channels, block, block])?;
    is_divisible.then(|| vec![batch, channels, height / block, width / block])
}

/// Returns a flag per axis, `true` for the axes in the list; `None` if an axis is out of range or listed
/// twice.
fn mark_axes(axes: &[i64], rank: usize) -> Option<Vec<bool>> {
    let mut marked = vec![false; rank];
    for &signed_axis in axes {
        if std::mem::replace(&mut marked[resolve_axis(signed_axis, rank)?], true) {
            return None;
        }
    }
    Some(marked)
}
