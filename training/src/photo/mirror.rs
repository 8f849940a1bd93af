//! Extends images and coefficients beyond their border by mirroring.

use burn::tensor::{Device, Tensor, TensorData};

use super::lapped::Parity;

/// Returns the sign of each channel, 1 or −1, `[1, c, 1, 1]`.
fn channel_signs(parities: &[[Parity; 2]], axis: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = parities.iter().map(|parity| parity[axis].sign()).collect();
    Tensor::from_data(TensorData::new(values, [1, parities.len(), 1, 1]), device)
}

/// Adds a ring of mirrored neighbours, with signs by parity: `[n, c, h, w]` coefficients to
/// `[n, c, h + 2, w + 2]`.
pub(crate) fn ring(x: Tensor<4>, parities: &[[Parity; 2]]) -> Tensor<4> {
    let device = x.device();
    (0..2).fold(x, |x, axis| {
        let (dim, signs) = (axis + 2, channel_signs(parities, axis, &device));
        let last = x.dims()[dim] - 1;
        let before = x.clone().narrow(dim, 0, 1) * signs.clone();
        let after = x.clone().narrow(dim, last, 1) * signs;
        Tensor::cat(vec![before, x, after], dim)
    })
}

/// Extends an image by its mirror image: `[n, c, h, w]` samples to `[n, c, h + 2·margin, w + 2·margin]`.
pub(crate) fn extend(x: Tensor<4>, margin: usize) -> Tensor<4> {
    [2, 3].into_iter().fold(x, |x, dim| {
        let last = x.dims()[dim] - margin;
        let before = x.clone().narrow(dim, 0, margin).flip([dim as isize]);
        let after = x.clone().narrow(dim, last, margin).flip([dim as isize]);
        Tensor::cat(vec![before, x, after], dim)
    })
}

/// Returns `(w + flips of w) / 4`: filters `[out, in, k, k]` with the symmetry of their channel's parity.
pub(crate) fn symmetrise_filters(w: Tensor<4>, parities: &[[Parity; 2]]) -> Tensor<4> {
    let device = w.device();
    (0..2).fold(w, |w, axis| {
        let signs = channel_signs(parities, axis, &device).swap_dims(0, 1);
        (w.clone() + w.flip([axis as isize + 2]) * signs) * 0.5
    })
}
