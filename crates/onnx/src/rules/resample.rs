//! Shape rules of pooling operators, which slide a window without weights, and of operators that change the
//! resolution.

use super::{conv_window::ConvWindow, layout::resolve_axis};
use crate::{
    graph::{find_attribute, int_attribute},
    proto::NodeProto,
    shape::{MAX_RANK, Shape},
    shapes::Shapes,
};

/// Returns the output shape of `MaxPool`, `AveragePool` or `LpPool`: the arithmetic of a convolution, applied
/// to each channel.
pub(super) fn pool_shape(node: &NodeProto, input: &[u64]) -> Option<Shape> {
    let kernel = &find_attribute(node, "kernel_shape")?.ints;
    if input.len() < 3 || kernel.len() != input.len() - 2 {
        return None;
    }
    let extents = kernel.iter().map(|&size| u64::try_from(size).ok());
    let weight: Shape = [Some(input[1]), Some(input[1])].into_iter().chain(extents).collect::<Option<_>>()?;
    let window = ConvWindow { node, x: input, weight: &weight, groups: 1 };
    if int_attribute(node, "ceil_mode", 0) == 0 { window.conv_shape() } else { window.ceil_mode_shape() }
}

/// Returns the output shape of a global pooling operator: one value per channel.
pub(super) fn global_pool_shape(input: &[u64]) -> Option<Shape> {
    let leading = input.get(..2)?;
    Some(leading.iter().copied().chain(input[2..].iter().map(|_| 1)).collect())
}

/// Returns the output shape of `Resize` or `Upsample`, either with sizes or with scales.
pub(super) fn resize_shape(node: &NodeProto, shapes: &Shapes<'_>, input: &[u64]) -> Option<Shape> {
    let axes: Vec<usize> = match find_attribute(node, "axes") {
        Some(axes) => axes.ints.iter().map(|&axis| resolve_axis(axis, input.len())).collect::<Option<_>>()?,
        None => (0..input.len()).collect(),
    };
    // `Upsample` and the first version of `Resize` do not have a region of interest.
    let scales_index = if node.op_type() == "Upsample" || node.input.len() == 2 { 1 } else { 2 };
    let policy =
        find_attribute(node, "keep_aspect_ratio_policy").map_or(&b"stretch"[..], |policy| policy.s());
    let mut out = input.to_vec();
    if let Some(sizes) = shapes.input_integers(node, 3) {
        if sizes.len() != axes.len() || policy != b"stretch" {
            return None;
        }
        for (&axis, &size) in axes.iter().zip(sizes) {
            out[axis] = u64::try_from(size).ok()?;
        }
        return Some(out);
    }
    let scales = match find_attribute(node, "scales") {
        Some(scales) => &scales.floats,
        None => shapes.input_floats(node, scales_index)?,
    };
    if scales.len() != axes.len() {
        return None;
    }
    for (&axis, &scale) in axes.iter().zip(scales) {
        let scaled = input[axis] as f64 * f64::from(scale);
        // Beyond 2^53 the product is no longer exact.
        out[axis] = (0.0..9e15).contains(&scaled).then(|| scaled.floor() as u64)?;
    }
    (out.len() <= MAX_RANK).then_some(out)
}
