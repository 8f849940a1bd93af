//! Derives the output shape of one node from the shapes of its inputs.
//!
//! Extents, strides and pads come from files, so all arithmetic is checked. If a result does not fit, the
//! shape is unknown.

mod conv_window;
mod layout;
mod recurrent;
mod resample;
pub(crate) mod values;

use self::{conv_window::ConvWindow, recurrent::RecurrentLayer};
use crate::{
    OnnxError,
    graph::{find_attribute, int_attribute},
    proto::NodeProto,
    shape::{MAX_RANK, Shape, broadcast, checked_product},
    shapes::Shapes,
};

/// Returns the shape of the node's first output; `None` if no rule determines it.
pub(crate) fn output_shape(node: &NodeProto, shapes: &Shapes<'_>) -> Result<Option<Shape>, OnnxError> {
    Ok(match node.op_type() {
        "Gemm" => gemm(node, shapes.input_shape(node, 0)?, shapes.input_shape(node, 1)?),
        "MatMul" => matmul(shapes.input_shape(node, 0)?, shapes.input_shape(node, 1)?),
        "Conv" => {
            let (x, weight) = (shapes.input_shape(node, 0)?, shapes.input_shape(node, 1)?);
            ConvWindow::new(node, x, weight).and_then(|window| window.conv_shape())
        }
        "ConvTranspose" => {
            let (x, weight) = (shapes.input_shape(node, 0)?, shapes.input_shape(node, 1)?);
            ConvWindow::new(node, x, weight).and_then(|window| window.conv_transpose_shape())
        }
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Min" | "Max" | "Sum" | "Mean" | "And" | "Or"
        | "Xor" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Where" => {
            broadcast(&input_shapes(node, shapes)?)
        }
        "Reshape" => {
            let target = shapes.input_integers(node, 1);
            let input = shapes.input_shape(node, 0)?;
            target.and_then(|target| reshape(input, target, int_attribute(node, "allowzero", 0) != 0))
        }
        "Flatten" => flatten(shapes.input_shape(node, 0)?, int_attribute(node, "axis", 1)),
        "Concat" => {
            let inputs = input_shapes(node, shapes)?;
            find_attribute(node, "axis").and_then(|axis| concat(&inputs, axis.i()))
        }
        "DepthToSpace" => depth_to_space(shapes.input_shape(node, 0)?, int_attribute(node, "blocksize", 0)),
        "GRU" | "LSTM" | "RNN" => {
            let (x, weight) = (shapes.input_shape(node, 0)?, shapes.input_shape(node, 2)?);
            RecurrentLayer::new(node, x, weight).map(|layer| layer.states())
        }
        op if keeps_shape(op) => Some(shapes.input_shape(node, 0)?.to_vec()),
        op => rearranged_shape(op, node, shapes)?,
    })
}

/// Returns the shapes of all inputs of the node.
fn input_shapes<'a>(node: &NodeProto, shapes: &'a Shapes<'_>) -> Result<Vec<&'a [u64]>, OnnxError> {
    (0..node.input.len()).map(|index| shapes.input_shape(node, index)).collect()
}

/// Returns the output shape of an operator that rearranges, pools or resamples elements.
fn rearranged_shape(op: &str, node: &NodeProto, shapes: &Shapes<'_>) -> Result<Option<Shape>, OnnxError> {
    Ok(match op {
        "Split" => shapes.input_shape(node, 0).map(|_| layout::split(node, shapes)?.first().cloned())?,
        "Transpose" => layout::transpose(node, shapes.input_shape(node, 0)?),
        "Squeeze" => layout::squeeze(node, shapes, shapes.input_shape(node, 0)?),
        "Unsqueeze" => layout::unsqueeze(node, shapes, shapes.input_shape(node, 0)?),
        "Slice" => layout::slice(node, shapes, shapes.input_shape(node, 0)?),
        "Pad" => layout::pad(node, shapes, shapes.input_shape(node, 0)?),
        "Gather" => layout::gather(node, shapes.input_shape(node, 0)?, shapes.input_shape(node, 1)?),
        "SpaceToDepth" => layout::space_to_depth(node, shapes.input_shape(node, 0)?),
        "Shape" => shapes
            .input_shape(node, 0)
            .map(|_| values::output_values(node, shapes).map(|values| vec![values.len() as u64]))?,
        "Size" => shapes.input_shape(node, 0).map(|_| Some(Vec::new()))?,
        "ConstantOfShape" => shapes.input_integers(node, 0).and_then(layout::shape_from_values),
        "Expand" => {
            shapes.input_shape(node, 0).map(|input| layout::expand(input, shapes.input_integers(node, 1)?))?
        }
        "Tile" => {
            shapes.input_shape(node, 0).map(|input| layout::tile(input, shapes.input_integers(node, 1)?))?
        }
        "MaxPool" | "AveragePool" | "LpPool" => resample::pool_shape(node, shapes.input_shape(node, 0)?),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => {
            resample::global_pool_shape(shapes.input_shape(node, 0)?)
        }
        "Resize" | "Upsample" => resample::resize_shape(node, shapes, shapes.input_shape(node, 0)?),
        "ArgMax" | "ArgMin" => layout::reduce(node, shapes, shapes.input_shape(node, 0)?),
        op if op.starts_with("Reduce") => layout::reduce(node, shapes, shapes.input_shape(node, 0)?),
        _ => None,
    })
}

/// Returns the shape of one of the node's further outputs, those with index 1 or more.
pub(crate) fn later_output(
    node: &NodeProto,
    index: usize,
    shapes: &Shapes<'_>,
) -> Result<Option<Shape>, OnnxError> {
    let last_states = match node.op_type() {
        "GRU" | "RNN" => 1..=1,
        "LSTM" => 1..=2,
        "Split" => {
            let parts = shapes.input_shape(node, 0).map(|_| layout::split(node, shapes))?;
            return Ok(parts.and_then(|parts| parts.get(index).cloned()));
        }
        _ => return Ok(None),
    };
    let recurrence = RecurrentLayer::new(node, shapes.input_shape(node, 0)?, shapes.input_shape(node, 2)?);
    Ok(recurrence.filter(|_| last_states.contains(&index)).map(|found| found.last_state_shape()))
}

/// Returns whether the output has the shape of the first input.
fn keeps_shape(op: &str) -> bool {
    #[rustfmt::skip]
    let elementwise = matches!(
        op,
        "Abs" | "Cast" | "Ceil" | "Celu" | "Clip" | "Cos" | "DequantizeLinear" | "Dropout" | "Elu" | "Erf" | "Exp"
        | "Floor" | "Gelu" | "HardSigmoid" | "HardSwish" | "Identity" | "LeakyRelu" | "Log" | "Mish" | "Neg" | "Not"
        | "PRelu" | "QuantizeLinear" | "Reciprocal" | "Relu" | "Round" | "Selu" | "Sigmoid" | "Sign" | "Sin"
        | "Softplus" | "Softsign" | "Sqrt" | "Tanh" | "ThresholdedRelu"
    );
    #[rustfmt::skip]
    let normalising = matches!(
        op,
        "BatchNormalization" | "GroupNormalization" | "InstanceNormalization" | "LRN" | "LayerNormalization"
        | "LogSoftmax" | "LpNormalization" | "Softmax"
    );
    elementwise || normalising
}

fn gemm(node: &NodeProto, a: &[u64], b: &[u64]) -> Option<Shape> {
    let (m, inner_a) = oriented_dims(node, a, "transA")?;
    let (inner_b, n) = oriented_dims(node, b, "transB")?;
    (inner_a == inner_b).then(|| vec![m, n])
}

/// Returns the rows and columns of a matrix, which the attribute `flag` transposes.
fn oriented_dims(node: &NodeProto, shape: &[u64], flag: &str) -> Option<(u64, u64)> {
    match *shape {
        [rows, columns] if int_attribute(node, flag, 0) != 0 => Some((columns, rows)),
        [rows, columns] => Some((rows, columns)),
        _ => None,
    }
}

/// Returns the output shape of `MatMul`. A vector is treated as a matrix with one row or one column, and the
/// result does not have that axis.
fn matmul(a: &[u64], b: &[u64]) -> Option<Shape> {
    let (&inner_a, outer_a) = a.split_last()?;
    let (batch_a, rows) = outer_a.split_at(outer_a.len().saturating_sub(1));
    let (batch_b, matrix_b) = b.split_at(b.len().saturating_sub(2));
    let (&inner_b, columns) = matrix_b.split_first()?;
    if inner_a != inner_b {
        return None;
    }
    Some([&broadcast(&[batch_a, batch_b])?, rows, columns].concat())
}

fn reshape(input: &[u64], target: &[i64], allow_zero: bool) -> Option<Shape> {
    if target.len() > MAX_RANK {
        return None;
    }
    let mut out = Vec::with_capacity(target.len());
    let mut inferred_axis = None;
    for (axis, &dim) in target.iter().enumerate() {
        out.push(match dim {
            0 if !allow_zero => *input.get(axis)?,
            -1 if inferred_axis.is_none() => {
                inferred_axis = Some(axis);
                1
            }
            _ => u64::try_from(dim).ok()?,
        });
    }
    let (total, fixed) = (checked_product(input)?, checked_product(&out)?);
    if let Some(axis) = inferred_axis {
        out[axis] = total.checked_div(fixed)?;
    }
    (checked_product(&out)? == total).then_some(out)
}

fn flatten(input: &[u64], axis: i64) -> Option<Shape> {
    // The rank itself is a valid axis here: everything goes into the first dimension.
    let axis = if axis < 0 { axis.checked_add(input.len() as i64)? } else { axis };
    let (rows, columns) = input.split_at_checked(usize::try_from(axis).ok()?)?;
    Some(vec![checked_product(rows)?, checked_product(columns)?])
}

fn concat(shapes: &[&[u64]], axis: i64) -> Option<Shape> {
    let (first, rest) = shapes.split_first()?;
    let axis = if axis < 0 { axis.checked_add(first.len() as i64)? } else { axis };
    let axis = usize::try_from(axis).ok()?;
    let mut out = first.to_vec();
    for shape in rest {
        let is_compatible = shape.len() == out.len()
            && shape.iter().zip(&out).enumerate().all(|(index, (a, b))| index == axis || a == b);
        if !is_compatible {
            return None;
        }
        let extent = out.get_mut(axis)?;
        *extent = extent.checked_add(*shape.get(axis)?)?;
    }
    (axis < out.len()).then_some(out)
}

fn depth_to_space(input: &[u64], block: i64) -> Option<Shape> {
    let [batch, channels, height, width] = *input else {
        return None;
    };
    let block = u64::try_from(block).ok()?;
    let area = block.checked_mul(block)?;
    if area == 0 || !channels.is_multiple_of(area) {
        return None;
    }
    Some(vec![batch, channels / area, height.checked_mul(block)?, width.checked_mul(block)?])
}

#[cfg(test)]
mod tests;
