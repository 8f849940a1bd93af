//! Channels that become pixels.

use burn::tensor::Tensor;

/// Rearranges `[n, c·b², h, w]` to `[n, c, b·h, b·w]`: channel c·b² + b·y + x is pixel (y, x) of its block
/// (W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
/// convolutional neural network", CVPR 2016, eq. 4).
pub(crate) fn to_pixels(x: Tensor<4>, colours: usize) -> Tensor<4> {
    let [n, channels, h, w] = x.dims();
    let side = (channels / colours).isqrt();
    let pixels = x.reshape([n, colours, side, side, h, w]).permute([0, 1, 4, 2, 5, 3]);
    pixels.reshape([n, colours, h * side, w * side])
}
