//! Padding and cropping of convolutions.

/// Returns the zeros before and after a side with which a convolution divides the side by the stride, rounded
/// up. An odd zero goes to the end, as in ONNX's `SAME_UPPER`.
pub(super) fn same_padding(side: usize, kernel: usize, stride: usize) -> [usize; 2] {
    let total = ((side.div_ceil(stride) - 1) * stride + kernel).saturating_sub(side);
    [total / 2, total - total / 2]
}

/// Returns the samples cropped before and after a side with which a transposed convolution multiplies the
/// side by the stride. An odd sample is cropped at the start.
pub(super) const fn transposed_crop(kernel: usize, stride: usize) -> [usize; 2] {
    let total = kernel - stride;
    [total - total / 2, total / 2]
}
