//! How filters lie at a map's border.

/// Zeros before and after a side, so that a convolution gives the side divided by the stride, rounded up. The odd one
/// goes to the end, as ONNX's `SAME_UPPER` has it.
pub(super) fn same(side: usize, kernel: usize, stride: usize) -> [usize; 2] {
    let all = ((side.div_ceil(stride) - 1) * stride + kernel).saturating_sub(side);
    [all / 2, all - all / 2]
}

/// Samples cut off before and after a side, so that a transposed convolution gives the side times the stride. The odd
/// one is cut off at the start.
pub(super) const fn crop(kernel: usize, stride: usize) -> [usize; 2] {
    let all = kernel - stride;
    [all - all / 2, all / 2]
}
