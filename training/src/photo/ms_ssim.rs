//! A differentiable MS-SSIM that equals `lopside_quality::ms_ssim`.

use burn::tensor::{
    Tensor, TensorData,
    module::{avg_pool2d, conv2d},
    ops::{AvgPoolOptions, ConvOptions},
};
use lopside_quality::{MS_SSIM_EXPONENTS, ms_ssim_window};

/// (K₁ L)² and (K₂ L)² for samples of range 1.
const C1: f32 = 0.01 * 0.01;
const C2: f32 = 0.03 * 0.03;
/// Lower bound on the similarity at a scale; below it, the gradient is zero.
const MIN_SIMILARITY: f32 = 1e-3;

/// Returns the MS-SSIM of each pair of images `[n, 3, h, w]`, samples of range 1, as `[n, 1, 1, 1]`. Images
/// too small for all five scales are measured at fewer scales, with exponents of the same sum.
pub(crate) fn ms_ssim(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    let [.., h, w] = a.dims();
    let window_len = ms_ssim_window().len();
    let scales =
        (0..MS_SSIM_EXPONENTS.len()).take_while(|scale| h.min(w) >> scale >= window_len).count().max(1);
    let used = &MS_SSIM_EXPONENTS[..scales];
    let (exponent_sum, used_sum): (f64, f64) = (MS_SSIM_EXPONENTS.iter().sum(), used.iter().sum());
    let (mut a, mut b) = (a, b);
    let mut product: Option<Tensor<4>> = None;
    for (scale, exponent) in used.iter().enumerate() {
        let last = scale + 1 == scales;
        let mean = scale_similarity(a.clone(), b.clone(), last);
        let factor = mean.clamp_min(MIN_SIMILARITY).powf_scalar(exponent * exponent_sum / used_sum);
        product = Some(product.map_or(factor.clone(), |product| product * factor));
        if !last {
            (a, b) = (halve_scale(a), halve_scale(b));
        }
    }
    product.unwrap_or_else(|| unreachable!("there is a scale")).mean_dim(1)
}

/// Returns the mean of contrast and structure, also of luminance if `luminance`, of each channel,
/// `[n, c, 1, 1]`.
fn scale_similarity(a: Tensor<4>, b: Tensor<4>, luminance: bool) -> Tensor<4> {
    let (mean_a, mean_b) = (window_mean(a.clone()), window_mean(b.clone()));
    let (square_a, square_b) = (mean_a.clone().square(), mean_b.clone().square());
    let mean_product = mean_a * mean_b;
    let variances =
        window_mean(a.clone().square() + b.clone().square()) - square_a.clone() - square_b.clone();
    let covariance = window_mean(a * b) - mean_product.clone();
    let map = (covariance * 2.0 + C2) / (variances + C2);
    let map = if luminance { map * ((mean_product * 2.0 + C1) / (square_a + square_b + C1)) } else { map };
    map.mean_dim(2).mean_dim(3)
}

/// Returns the mean under the window, at every position where it fits completely.
fn window_mean(x: Tensor<4>) -> Tensor<4> {
    let channels = x.dims()[1];
    let (window, device) = (ms_ssim_window(), x.device());
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], channels);
    let values = TensorData::new(window.repeat(channels), [channels, 1, window.len(), 1]);
    let window: Tensor<4> = Tensor::from_data(values, &device);
    let rows = conv2d(x, window.clone(), None, options.clone());
    conv2d(rows, window.swap_dims(2, 3), None, options)
}

fn halve_scale(x: Tensor<4>) -> Tensor<4> {
    avg_pool2d(x, AvgPoolOptions::new([2, 2]).with_stride([2, 2]))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use image::{DynamicImage, RgbImage};

    use super::*;

    #[test]
    fn the_loss_agrees_with_the_evaluations_ms_ssim() {
        let noise =
            |x: u32, y: u32, seed: u32| (x * 7919 + y * 104_729 + seed).wrapping_mul(2_654_435_761) >> 27;
        let image = |seed: u32| {
            RgbImage::from_fn(192, 176, |x, y| {
                let ramp = x / 2 + y / 4;
                image::Rgb(
                    [0, 40, 80]
                        .map(|c| (ramp + c / 2 + noise(x, y, c) + noise(x, y, seed + c) / 2).min(255) as u8),
                )
            })
        };
        let tensor = |image: &RgbImage| {
            let samples: Vec<f32> = (0..3)
                .flat_map(|c| image.as_raw().iter().skip(c).step_by(3))
                .map(|&sample| f32::from(sample) / 255.0)
                .collect();
            Tensor::<4>::from_data(TensorData::new(samples, [1, 3, 176, 192]), &Device::flex())
        };
        let (a, b) = (image(1), image(2));
        let found = ms_ssim(tensor(&a), tensor(&b)).into_scalar::<f32>();
        let expected = lopside_quality::ms_ssim(&DynamicImage::from(a), &DynamicImage::from(b)).unwrap();
        assert!((f64::from(found) - expected).abs() < 1e-4, "{found} {expected}");
        assert!(expected < 0.99);
    }
}
