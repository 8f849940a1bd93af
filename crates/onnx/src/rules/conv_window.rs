//! The window that slides over the input in convolutions and pooling.

use crate::{
    graph::{find_attribute, int_attribute},
    proto::NodeProto,
    shape::Shape,
};

/// A convolution's window. `x` and `weight` are the shapes of the input and the weight, with one entry per
/// spatial axis after the first two.
pub(super) struct ConvWindow<'a> {
    pub(super) node: &'a NodeProto,
    pub(super) x: &'a [u64],
    pub(super) weight: &'a [u64],
    pub(super) groups: u64,
}

impl<'a> ConvWindow<'a> {
    pub(super) fn new(node: &'a NodeProto, x: &'a [u64], weight: &'a [u64]) -> Option<Self> {
        let groups = u64::try_from(int_attribute(node, "group", 1)).ok().filter(|&groups| groups > 0)?;
        (x.len() >= 3 && x.len() == weight.len()).then_some(Self { node, x, weight, groups })
    }

    /// Returns the output shape of `Conv` for `x [n, c, …]` and weight `[m, c / groups, …]`.
    pub(super) fn conv_shape(&self) -> Option<Shape> {
        if self.weight[1].checked_mul(self.groups)? != self.x[1]
            || !self.weight[0].is_multiple_of(self.groups)
        {
            return None;
        }
        let extents = (0..self.x.len() - 2).map(|axis| {
            let (size, stride) = (self.input_extent(axis)?, self.stride(axis)?);
            if self.is_same() {
                return u64::try_from(size.checked_add(stride - 1)? / stride).ok();
            }
            let span = size.checked_add(self.total_padding(axis)?)?.checked_sub(self.window_extent(axis)?)?;
            u64::try_from(span).ok()?.checked_div(u64::try_from(stride).ok()?)?.checked_add(1)
        });
        self.with_extents(self.weight[0], extents)
    }

    /// Returns the output shape with `ceil_mode`: as for [`conv_shape`](Self::conv_shape), but the last window may reach
    /// beyond the end as long as it does not start there.
    pub(super) fn ceil_mode_shape(&self) -> Option<Shape> {
        let mut out = self.conv_shape()?;
        for axis in 0..self.x.len() - 2 {
            let (size, stride) = (self.input_extent(axis)?, self.stride(axis)?);
            let span = size.checked_add(self.total_padding(axis)?)?.checked_sub(self.window_extent(axis)?)?;
            let next_start = i64::try_from(out[axis + 2]).ok()?.checked_mul(stride)?;
            let padding_start = self.list_attribute("pads", axis, 0)?;
            if !self.is_same() && span % stride != 0 && next_start < size.checked_add(padding_start)? {
                out[axis + 2] += 1;
            }
        }
        Some(out)
    }

    /// Returns the output shape of `ConvTranspose` for `x [n, c, …]` and weight `[c, m / groups, …]`.
    pub(super) fn conv_transpose_shape(&self) -> Option<Shape> {
        if self.weight[0] != self.x[1] || !self.weight[0].is_multiple_of(self.groups) {
            return None;
        }
        let fixed = find_attribute(self.node, "output_shape").map(|fixed| fixed.ints.as_slice());
        let extents = (0..self.x.len() - 2).map(|axis| {
            if let Some(fixed) = fixed {
                return u64::try_from(*fixed.get(axis)?).ok();
            }
            let (size, stride) = (self.input_extent(axis)?, self.stride(axis)?);
            if self.is_same() {
                return u64::try_from(size.checked_mul(stride)?).ok();
            }
            let last = size.checked_sub(1)?.checked_mul(stride)?.checked_add(self.window_extent(axis)?)?;
            let output_padding = self.list_attribute("output_padding", axis, 0)?;
            u64::try_from(last.checked_add(output_padding)?.checked_sub(self.total_padding(axis)?)?).ok()
        });
        self.with_extents(self.weight[1].checked_mul(self.groups)?, extents)
    }

    fn with_extents(&self, channels: u64, extents: impl Iterator<Item = Option<u64>>) -> Option<Shape> {
        [Some(self.x[0]), Some(channels)].into_iter().chain(extents).collect()
    }

    fn input_extent(&self, axis: usize) -> Option<i64> {
        i64::try_from(self.x[axis + 2]).ok()
    }

    fn stride(&self, axis: usize) -> Option<i64> {
        self.list_attribute("strides", axis, 1).filter(|&stride| stride > 0)
    }

    /// Returns the extent of one window, dilation included.
    fn window_extent(&self, axis: usize) -> Option<i64> {
        let gaps = i64::try_from(self.weight[axis + 2].checked_sub(1)?).ok()?;
        let dilation = self.list_attribute("dilations", axis, 1).filter(|&dilation| dilation > 0)?;
        gaps.checked_mul(dilation)?.checked_add(1)
    }

    /// Returns the padding on both sides together; the list holds the starts of all axes before the ends.
    fn total_padding(&self, axis: usize) -> Option<i64> {
        if self.auto_pad() == b"VALID" {
            return Some(0);
        }
        let end_index = axis + self.x.len() - 2;
        self.list_attribute("pads", axis, 0)?.checked_add(self.list_attribute("pads", end_index, 0)?)
    }

    fn is_same(&self) -> bool {
        matches!(self.auto_pad(), b"SAME_UPPER" | b"SAME_LOWER")
    }

    fn auto_pad(&self) -> &[u8] {
        find_attribute(self.node, "auto_pad").map_or(b"NOTSET", |pad| pad.s())
    }

    fn list_attribute(&self, name: &str, index: usize, default: i64) -> Option<i64> {
        match find_attribute(self.node, name) {
            Some(list) => list.ints.get(index).copied(),
            None => Some(default),
        }
    }
}
