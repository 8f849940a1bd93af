//! The margin with which a tile of an image is computed so that its inner part is the same as in the whole image.
//!
//! A convolutional model computes each value from the values around it. At an end of a tile where the image continues,
//! some values are computed from padding instead of the image, and so are the values that depend on them. This module
//! follows the nodes of a graph from the layers to the output and counts these wrong values at both ends of both
//! axes ([`Grid`]). At the image's own border nothing is wrong: padding and mirroring depend on the distance to
//! the end, and a tile has the same end there.
//!
//! ```text
//! image   |----------------------------------------------|
//! tile              |--- margin ---|=== core ===|--- margin ---|
//! ```
//! Only operators with a rule are accepted, and only sizes that are a linear function of the image's size: nothing is
//! assumed of any other graph. Sums of floats may be added up in another order for another size, so values can
//! differ in their last bits.

mod axis;
mod grid;

use std::collections::HashMap;

use crate::{
    graph::{find_attribute, int_attribute, is_random, is_standard, node_bodies, node_outputs},
    proto::{ModelProto, NodeProto, TensorProto, ValueInfoProto},
    shapes::declared_dims,
    stored_values::stored_integers,
};
use axis::{Axis, join_parts, merge_axes};
use grid::{End, Grid, Window, bounded};

/// Number of dimensions of feature maps: item, channel, row, column.
const RANK: usize = 4;
/// An end of a slice from which on it stands for the end of the axis: exporters write different large numbers.
const SLICE_END: i64 = i32::MAX as i64;

/// Feature maps `[n, channels, rows, columns]` whose sides are proportional to those of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TiledTensor<'a> {
    /// The name of the tensor.
    pub name: &'a str,
    /// Number of rows and of columns per block of the image.
    pub cells_per_block: u32,
}

/// Returns the number of blocks by which a tile must extend beyond its core, on each side on which the image continues,
/// so that the output of the core is that of the whole image. All other inputs of the model must have the same values
/// for all tiles. Returns `None` if the graph does not allow tiles, or if that is unknown.
#[must_use]
pub fn tile_margin(model: &ModelProto, layers: &[TiledTensor<'_>], output: TiledTensor<'_>) -> Option<u32> {
    let graph = model.graph.as_ref().filter(|_| model.functions.is_empty())?;
    let mut analysis = Analysis::default();
    graph.initializer.iter().for_each(|tensor| analysis.add_constant(tensor.name(), tensor));
    for input in &graph.input {
        analysis.add_input(input, layers)?;
    }
    for node in &graph.node {
        analysis.add_node(node)?;
    }
    analysis.margin(output)
}

/// A tensor, as far as it depends on the position in the image.
#[derive(Debug, Clone)]
enum Tensor {
    /// The same for all tiles. Holds the dimensions if they are known; an unknown extent is −1.
    Uniform(Option<Vec<i64>>),
    /// Feature maps: rows and columns.
    Maps([Axis; 2]),
}

/// The tensors of a graph, in the order of its nodes.
#[derive(Debug, Default)]
struct Analysis<'a> {
    tensors: HashMap<&'a str, Tensor>,
    /// The values of short integer constants.
    integers: HashMap<&'a str, Vec<i64>>,
    /// Number of blocks that a tile must have.
    min_blocks: i64,
}

impl<'a> Analysis<'a> {
    fn add_constant(&mut self, name: &'a str, tensor: &TensorProto) {
        if let Some(values) = stored_integers(tensor) {
            self.integers.insert(name, values);
        }
        self.tensors.insert(name, Tensor::Uniform(Some(tensor.dims.clone())));
    }

    fn add_input(&mut self, input: &'a ValueInfoProto, layers: &[TiledTensor<'_>]) -> Option<()> {
        let name = input.name();
        if self.tensors.contains_key(name) {
            return Some(());
        }
        let tensor = match layers.iter().find(|layer| layer.name == name) {
            Some(layer) => {
                let grid = Axis::Grid(Grid::of_input(layer.cells_per_block.into())?);
                Tensor::Maps([grid; 2])
            }
            None => Tensor::Uniform(declared_dims(input).map(|dims| vec![-1; dims.len()])),
        };
        self.tensors.insert(name, tensor);
        Some(())
    }

    fn add_node(&mut self, node: &'a NodeProto) -> Option<()> {
        if !is_standard(node) || is_random(node) || node_bodies(node).next().is_some() {
            return None;
        }
        if let ("Constant", Some(value)) = (node.op_type(), find_attribute(node, "value")) {
            self.add_constant(node_outputs(node).next()?, value.t.as_ref()?);
            return Some(());
        }
        let reads_maps =
            input_names(node).map(|name| Some(matches!(self.tensors.get(name)?, Tensor::Maps(_))));
        let reads_maps = reads_maps.collect::<Option<Vec<bool>>>()?.contains(&true);
        let output = if reads_maps {
            Tensor::Maps(self.map_output(node)?)
        } else {
            Tensor::Uniform(self.uniform_dims(node))
        };
        if let Tensor::Maps(axes) = &output {
            let grids = axes.iter().filter_map(|axis| axis.grid().ok());
            self.min_blocks = grids.map(Grid::min_blocks).fold(self.min_blocks, i64::max);
        }
        let mut outputs = node_outputs(node);
        self.tensors.insert(outputs.next()?, output.clone());
        for further in outputs {
            if reads_maps {
                return None;
            }
            self.tensors.insert(further, Tensor::Uniform(None));
        }
        Some(())
    }

    /// Returns the axes of the output of a node that reads feature maps.
    fn map_output(&mut self, node: &NodeProto) -> Option<[Axis; 2]> {
        match node.op_type() {
            "Conv" => self.each_window(node, Grid::convolved),
            "ConvTranspose" if find_attribute(node, "output_shape").is_none() => {
                self.each_window(node, Grid::convolved_transposed)
            }
            "DepthToSpace" => self.each_grid(node, |grid| grid.refined(int_attribute(node, "blocksize", 0))),
            "SpaceToDepth" => {
                self.each_grid(node, |grid| grid.coarsened(int_attribute(node, "blocksize", 0)))
            }
            "Concat" => self.concat(node),
            "Slice" => self.slice(node),
            "Pad" => self.pad(node),
            op if is_elementwise(op) => self.elementwise(node),
            _ => None,
        }
    }

    /// Returns the dimensions of a tensor that is the same for all tiles.
    fn uniform_dims(&self, node: &NodeProto) -> Option<Vec<i64>> {
        match node.op_type() {
            "Cast" | "Identity" => self.known_dims(node, 0).map(<[i64]>::to_vec),
            "Reshape" => self.integers(node, 1).map(<[i64]>::to_vec),
            "Gemm" => Some(vec![-1; 2]),
            op if is_elementwise(op) => {
                let ranks = (0..node.input.len()).filter(|&index| !node.input[index].is_empty());
                let ranks = ranks.map(|index| self.known_dims(node, index).map(<[i64]>::len));
                Some(vec![-1; ranks.collect::<Option<Vec<usize>>>()?.into_iter().max()?])
            }
            _ => None,
        }
    }

    /// Returns the known dimensions of a node's input that is the same for all tiles.
    fn known_dims(&self, node: &NodeProto, index: usize) -> Option<&[i64]> {
        match self.tensors.get(node.input.get(index)?.as_str())? {
            Tensor::Uniform(dims) => dims.as_deref(),
            Tensor::Maps(_) => None,
        }
    }

    /// Returns the axes of a node's input.
    fn axes(&self, node: &NodeProto, index: usize) -> Option<[Axis; 2]> {
        match self.tensors.get(node.input.get(index)?.as_str())? {
            Tensor::Maps(axes) => Some(*axes),
            Tensor::Uniform(_) => None,
        }
    }

    /// Returns the values of a node's input if it is a short integer constant.
    fn integers(&self, node: &NodeProto, index: usize) -> Option<&[i64]> {
        self.integers.get(node.input.get(index)?.as_str()).map(Vec::as_slice)
    }

    /// Merges all feature maps that the node reads. The others may only be broadcast, to no more dimensions.
    fn elementwise(&self, node: &NodeProto) -> Option<[Axis; 2]> {
        let mut merged: Option<[Axis; 2]> = None;
        for name in input_names(node) {
            match self.tensors.get(name)? {
                Tensor::Uniform(dims) => {
                    dims.as_ref().filter(|dims| dims.len() <= RANK)?;
                }
                Tensor::Maps(axes) => merged = Some(merge_axes(merged, *axes)?),
            }
        }
        merged
    }

    fn each_grid(&self, node: &NodeProto, rule: impl Fn(Grid) -> Option<Grid>) -> Option<[Axis; 2]> {
        let [rows, columns] = self.axes(node, 0)?;
        Some([Axis::Grid(rule(rows.grid().ok()?)?), Axis::Grid(rule(columns.grid().ok()?)?)])
    }

    fn each_window(&self, node: &NodeProto, rule: fn(Grid, Window) -> Option<Grid>) -> Option<[Axis; 2]> {
        let auto_pad = find_attribute(node, "auto_pad").map_or(&b"NOTSET"[..], |pad| pad.s());
        let weight = self.known_dims(node, 1).filter(|dims| dims.len() == RANK && auto_pad == b"NOTSET")?;
        let has_uniform_bias = node.input.get(2).is_none_or(|bias| {
            bias.is_empty() || matches!(self.tensors.get(bias.as_str()), Some(Tensor::Uniform(_)))
        });
        let axes = self.axes(node, 0).filter(|_| has_uniform_bias)?;
        let apply = |axis: usize| {
            let window = Window {
                kernel: weight[axis + 2],
                stride: list_attribute(node, "strides", axis, 1)?,
                dilation: list_attribute(node, "dilations", axis, 1)?,
                pads: [list_attribute(node, "pads", axis, 0)?, list_attribute(node, "pads", axis + 2, 0)?],
                output_padding: list_attribute(node, "output_padding", axis, 0)?,
            };
            rule(axes[axis].grid().ok()?, window).map(Axis::Grid)
        };
        Some([apply(0)?, apply(1)?])
    }

    fn concat(&self, node: &NodeProto) -> Option<[Axis; 2]> {
        let parts = (0..node.input.len()).map(|index| self.axes(node, index)).collect::<Option<Vec<_>>>()?;
        match resolve_axis(int_attribute(node, "axis", 0))? {
            1 => parts.into_iter().try_fold(None, |merged, part| merge_axes(merged, part).map(Some))?,
            axis @ 2..=3 => {
                let (joined, other) = (axis - 2, 3 - axis);
                let others = parts.iter().map(|part| part[other]);
                let other_axis = others.map(Some).reduce(|a, b| a?.merged(b?))??;
                let joined_axis = Axis::Grid(join_parts(parts.iter().map(|part| part[joined]))?);
                Some(if joined == 0 { [joined_axis, other_axis] } else { [other_axis, joined_axis] })
            }
            _ => None,
        }
    }

    fn slice(&mut self, node: &NodeProto) -> Option<[Axis; 2]> {
        let mut axes = self.axes(node, 0)?;
        let (starts, ends) = (self.integers(node, 1)?.to_vec(), self.integers(node, 2)?.to_vec());
        let sliced = if has_input(node, 3) {
            self.integers(node, 3)?.to_vec()
        } else {
            (0..starts.len() as i64).collect()
        };
        let has_unit_steps = !has_input(node, 4) || self.integers(node, 4)?.iter().all(|&step| step == 1);
        if !has_unit_steps || ends.len() != starts.len() || sliced.len() != starts.len() {
            return None;
        }
        for ((start, end), axis) in starts.into_iter().zip(ends).zip(sliced) {
            match resolve_axis(axis)? {
                1 => {}
                axis @ 2..=3 => axes[axis - 2] = self.slice_axis(axes[axis - 2], start, end)?,
                _ => return None,
            }
        }
        Some(axes)
    }

    /// Returns the axis of a slice: without cells at the ends, or only with cells at one end.
    fn slice_axis(&mut self, axis: Axis, start: i64, end: i64) -> Option<Axis> {
        let grid = axis.grid().ok()?;
        let distance = bounded(start.checked_abs()?, 0)?;
        let is_open = end >= SLICE_END;
        let from_end = if is_open { 0 } else { bounded(end.checked_abs()?, 0)? };
        match (start >= 0, is_open || end < 0) {
            (true, true) => grid.cropped([distance, from_end]).map(Axis::Grid),
            (true, false) if end > start => {
                self.min_blocks = self.min_blocks.max(grid.blocks_for(End::Low, end));
                Some(Axis::Border { end: End::Low, cells: end - start })
            }
            (false, true) if distance > from_end => {
                self.min_blocks = self.min_blocks.max(grid.blocks_for(End::High, distance));
                Some(Axis::Border { end: End::High, cells: distance - from_end })
            }
            _ => None,
        }
    }

    fn pad(&mut self, node: &NodeProto) -> Option<[Axis; 2]> {
        let axes = self.axes(node, 0)?;
        let pads: [i64; 2 * RANK] = self.integers(node, 1)?.try_into().ok()?;
        let mode = find_attribute(node, "mode").map_or(&b"constant"[..], |mode| mode.s());
        let pads_other_axes = [pads[0], pads[1], pads[RANK], pads[RANK + 1]] != [0; 4];
        if has_input(node, 3) || pads_other_axes {
            return None;
        }
        let mut padded = axes;
        for (axis, padded) in padded.iter_mut().enumerate() {
            let sides = [bounded(pads[axis + 2], 0)?, bounded(pads[RANK + axis + 2], 0)?];
            let grid = axes[axis].grid().ok()?;
            // The padding is computed from this many cells at its end.
            let depths = match mode {
                b"constant" => [0; 2],
                b"edge" => [1; 2],
                b"reflect" => sides.map(|cells| cells + 1),
                _ => return None,
            };
            for (end, depth) in [End::Low, End::High].into_iter().zip(depths) {
                self.min_blocks = self.min_blocks.max(grid.blocks_for(end, depth));
            }
            *padded = Axis::Grid(grid.padded(sides)?);
        }
        Some(padded)
    }

    /// Returns the margin of the output.
    fn margin(&self, output: TiledTensor<'_>) -> Option<u32> {
        let Tensor::Maps(axes) = self.tensors.get(output.name)? else { return None };
        // A tile has at least one block in addition to its margin.
        let mut margin = (self.min_blocks - 1).max(0);
        for axis in axes {
            let grid = axis.grid().ok()?;
            if grid.per_block != i64::from(output.cells_per_block) || grid.extra != 0 {
                return None;
            }
            margin = margin.max(grid.margin());
        }
        u32::try_from(margin).ok()
    }
}

/// Returns the index of an axis of feature maps; negative axes count from the end.
fn resolve_axis(axis: i64) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(RANK as i64)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < RANK)
}

/// Returns whether an operator computes each value from the values at its position.
fn is_elementwise(op: &str) -> bool {
    const ARITHMETIC: &str = "Abs Add Ceil Div Floor Max Mean Min Mul Neg Pow Reciprocal Round Sign Sub Sum";
    const FUNCTIONS: &str = "Cast Clip Erf Exp Identity Log Sqrt";
    const ACTIVATIONS: &str = "Elu Gelu HardSigmoid HardSwish LeakyRelu Mish PRelu Relu Selu Sigmoid Softplus \
                               Softsign Tanh";
    [ARITHMETIC, FUNCTIONS, ACTIVATIONS].iter().any(|names| names.split_whitespace().any(|name| name == op))
}

fn input_names(node: &NodeProto) -> impl Iterator<Item = &str> {
    node.input.iter().map(String::as_str).filter(|name| !name.is_empty())
}

fn has_input(node: &NodeProto, index: usize) -> bool {
    node.input.get(index).is_some_and(|name| !name.is_empty())
}

fn list_attribute(node: &NodeProto, name: &str, index: usize, default: i64) -> Option<i64> {
    find_attribute(node, name).map_or(Some(default), |list| list.ints.get(index).copied())
}

#[cfg(test)]
mod tests;
