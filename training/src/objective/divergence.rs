//! Latents as normal distributions (Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014).

use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt as _};
use rand_distr::StandardNormal;

/// Bound on the absolute log-variance; larger values make no difference and would overflow.
const MAX_LOG_VARIANCE: f32 = 20.0;

/// Draws z = μ + σ·ε with standard normal ε (section 2.4).
pub(super) fn sample_latent(mean: &Tensor<2>, log_variance: &Tensor<2>, rng: &mut impl Rng) -> Tensor<2> {
    let dims = mean.dims();
    let noise: Vec<f32> = rng.sample_iter(StandardNormal).take(dims[0] * dims[1]).collect();
    let noise = Tensor::<2>::from_data(TensorData::new(noise, dims), &mean.device());
    let deviation = (log_variance.clone().clamp(-MAX_LOG_VARIANCE, MAX_LOG_VARIANCE) * 0.5).exp();
    mean.clone() + deviation * noise
}

/// Returns the divergence from the standard normal distribution, −½ Σ (1 + ln σ² − μ² − σ²), as a mean over
/// samples (appendix B).
pub(super) fn kullback_leibler(mean: Tensor<2>, log_variance: Tensor<2>) -> Tensor<1> {
    let n = mean.dims()[0];
    let log_variance = log_variance.clamp(-MAX_LOG_VARIANCE, MAX_LOG_VARIANCE);
    let terms = log_variance.clone().add_scalar(1.0) - mean.square() - log_variance.exp();
    terms.sum() * (-0.5 / n as f32)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn row(values: [f32; 2]) -> Tensor<2> {
        Tensor::from_data([values], &Device::flex())
    }

    #[test]
    fn the_divergence_agrees_with_its_definition() {
        let found: f32 = kullback_leibler(row([0.5, -1.0]), row([0.0, 2.0_f32.ln()])).into_scalar();
        let expected = 0.5 * 0.25 + 0.5 * (1.0 + 2.0 - 1.0 - 2.0_f32.ln());
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        let zero: f32 = kullback_leibler(row([0.0; 2]), row([0.0; 2])).into_scalar();
        assert!(zero.abs() < 1e-9);
    }

    #[test]
    fn samples_have_the_mean_and_the_variance() {
        let n = 20_000;
        let device = Device::flex();
        let mean = Tensor::<2>::full([n, 1], 3.0, &device);
        let log_variance = Tensor::<2>::full([n, 1], 4.0_f32.ln(), &device);
        let found = sample_latent(&mean, &log_variance, &mut StdRng::seed_from_u64(2));
        let (variance, mean) = found.var_mean(0);
        let (variance, mean): (f32, f32) = (variance.into_scalar(), mean.into_scalar());
        assert!((mean - 3.0).abs() < 0.06 && (variance - 4.0).abs() < 0.16, "{mean} {variance}");
    }
}
