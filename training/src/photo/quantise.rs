//! Rounding as at the edge, with the gradient of the unrounded value (Y. Bengio, N. Léonard, A. Courville,
//! "Estimating or propagating gradients through stochastic neurons", 2013, section 4: the straight-through
//! estimator).

use burn::tensor::Tensor;
use lopside_latent::image_codec::LAMBDA;

/// Rounding offset of the quantiser: a magnitude x becomes ⌊x + offset⌋; 0.5 rounds to the nearest integer.
pub(crate) const ROUNDING_OFFSET: f32 = 0.4;

/// Rounds scaled coefficients to integers with the quantiser's dead zone.
pub(crate) fn round_with_dead_zone(scaled: Tensor<4>) -> Tensor<4> {
    let detached = scaled.clone().detach();
    let integers = detached.clone().sign() * (detached.clone().abs() + ROUNDING_OFFSET).floor();
    scaled + (integers - detached)
}

/// Rounds scaled coefficients to integers like the coder's rate–distortion-optimised quantisation: to the
/// nearest integer or the next one towards zero, by their bits. `scale` is that of the predicted Laplace
/// distribution, in place of the coder's tables.
pub(crate) fn quantise_rdoq(scaled: Tensor<4>, scale: Tensor<4>) -> Tensor<4> {
    let detached = scaled.clone().detach();
    let magnitude = detached.clone().abs();
    let nearest = (magnitude.clone() + 0.5).floor();
    let excess = magnitude - nearest.clone() + 0.5;
    let rate = scale.detach().recip();
    // Bits from 1 to 2, from 2 to 3 and so on: 1 / (b ln 2). Bits from 0 to 1: log₂((1 − e^(−1/2b)) /
    // (e^(−1/2b) (1 − e^(−1/b)) / 2)).
    let half = (rate.clone() * -0.5).exp();
    let first_bit_cost = rate.clone() * 0.5 + std::f32::consts::LN_2 - (half + 1.0).log();
    let extra_cost = rate.mask_where(nearest.clone().lower_elem(1.5), first_bit_cost);
    let min_excess = extra_cost * (LAMBDA / (2.0 * std::f32::consts::LN_2));
    let smaller = (nearest.clone() - 1.0).clamp_min(0.0);
    let integers = detached.clone().sign() * nearest.mask_where(excess.lower(min_excess), smaller);
    scaled + (integers - detached)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn row(values: [f32; 5]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, 5]), &Device::flex())
    }

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn the_dead_zone_is_wider_where_zero_is_predicted() {
        let coefficients = || row([0.5, -0.7, 1.0, -1.7, 0.2]);
        assert_eq!(values(round_with_dead_zone(coefficients())), [0.0, -1.0, 1.0, -2.0, 0.0]);
        assert_eq!(values(quantise_rdoq(coefficients(), row([4.0; 5]))), [0.0, -1.0, 1.0, -2.0, 0.0]);
        let quiet = values(quantise_rdoq(coefficients(), row([0.07; 5])));
        assert_eq!(quiet, [0.0, 0.0, 1.0, -1.0, 0.0]);
    }
}
