//! A differentiable estimate of the bits that the coder needs for an image's integers.
//!
//! As in the coder, each coefficient's magnitude is predicted by its neighbours above and to the left, by the
//! earlier channels and the coarser layers around its position, and by the quality. The prediction is the
//! scale of a Laplace distribution, whose mass over the coefficient's interval is its probability. Uniform
//! noise replaces rounding (J. Ballé, V. Laparra, E. P. Simoncelli, "End-to-end optimized image compression",
//! ICLR 2017, section 3).

use burn::{
    module::{Module, Param},
    tensor::{
        Device, Tensor, TensorData,
        module::{avg_pool2d, conv2d, interpolate},
        ops::{AvgPoolOptions, ConvOptions, InterpolateMode, InterpolateOptions},
    },
};
use rand::{Rng, RngExt as _};

use super::spec::PhotoSpec;

/// Rows and columns of the kernel over a channel's own neighbours; its last row is the coefficient's.
const NEAR_KERNEL: [usize; 2] = [3, 5];
/// The smallest scale, in steps, so that a zero is never predicted with certainty.
const MIN_SCALE: f32 = 0.03;

/// The predictors of the magnitudes of all layers, coarsest first.
#[derive(Module, Debug)]
pub struct RateModel {
    layers: Vec<LayerRateModel>,
}

/// The predictor of a layer's magnitudes. `near` and `others` are squared before use, so that weights are not
/// negative.
#[derive(Module, Debug)]
struct LayerRateModel {
    /// The kernel over a channel's own neighbours, `[c, 1, 3, 5]`.
    near: Param<Tensor<4>>,
    /// The weights of the coarser layers' channels and of this layer's earlier ones:
    /// `[c, coarser + c, 1, 1]`.
    others: Param<Tensor<4>>,
    /// The prediction if all context is zero: its logarithm at the middle quality, and the slope over the
    /// quality, `[c, 2]`.
    alone: Param<Tensor<2>>,
}

impl RateModel {
    /// Returns untrained predictors.
    #[must_use]
    pub fn new(spec: &PhotoSpec, device: &Device) -> Self {
        let mut coarser = 0;
        let layers = (0..spec.levels()).rev().map(|level| {
            let channels = spec.layer_channels(level);
            let layer = LayerRateModel::new(channels, coarser, device);
            coarser += channels;
            layer
        });
        Self { layers: layers.collect() }
    }

    /// Returns the predicted scale of every coefficient of every layer, in steps. `integers` are the layers
    /// as they are coded, coarsest first; `condition` is the quality in the residual network's
    /// representation, `[n, 1]`.
    #[must_use]
    pub fn predict_scales(&self, integers: &[Tensor<4>], condition: &Tensor<2>) -> Vec<Tensor<4>> {
        let mut scales = Vec::new();
        let mut coarser: Option<Tensor<4>> = None;
        for (layer, integers) in self.layers.iter().zip(integers) {
            // The gradient of a prediction must not change its context, which the coder codes first.
            let magnitudes = integers.clone().detach().abs();
            let local_mean = neighbourhood_mean(magnitudes.clone());
            let references = match coarser {
                Some(coarser) => Tensor::cat(vec![twice_as_fine(coarser), local_mean], 1),
                None => local_mean,
            };
            scales.push(layer.predict_scale(&magnitudes, references.clone(), condition));
            coarser = Some(references);
        }
        scales
    }
}

/// Returns the estimated bits of each image, `[n, 1, 1, 1]`: `scaled` are its layers in steps, `scales` their
/// predicted scales, `rng` is the source of the noise.
pub(crate) fn estimate_bits(scaled: &[Tensor<4>], scales: &[Tensor<4>], rng: &mut impl Rng) -> Tensor<4> {
    let layers = scaled.iter().zip(scales).map(|(scaled, scale)| {
        let noise = uniform_noise(scaled.dims(), rng, &scaled.device());
        laplace_bits(scaled.clone() + noise, scale.clone()).sum_dim(1).sum_dim(2).sum_dim(3)
    });
    layers.reduce(|sum, bits| sum + bits).unwrap_or_else(|| unreachable!("a model has a layer"))
}

impl LayerRateModel {
    fn new(channels: usize, coarser: usize, device: &Device) -> Self {
        let near = Tensor::full([channels, 1, NEAR_KERNEL[0], NEAR_KERNEL[1]], 0.25, device);
        let others = Tensor::full([channels, coarser + channels, 1, 1], 0.03, device);
        let alone = TensorData::new([-2.0_f32, -1.5].repeat(channels), [channels, 2]);
        Self {
            near: Param::from_tensor(near),
            others: Param::from_tensor(others),
            alone: Param::from_tensor(Tensor::from_data(alone, device)),
        }
    }

    /// Returns the predicted scale of every coefficient, in steps.
    fn predict_scale(
        &self,
        magnitudes: &Tensor<4>,
        references: Tensor<4>,
        condition: &Tensor<2>,
    ) -> Tensor<4> {
        let channels = self.near.dims()[0];
        let device = magnitudes.device();
        let near = self.near.val().square() * causal_mask(&device);
        let [rows, columns] = NEAR_KERNEL;
        let causal = ConvOptions::new([1, 1], [rows - 1, columns / 2], [1, 1], channels);
        let causal = conv2d(magnitudes.clone(), near, None, causal).narrow(2, 0, magnitudes.dims()[2]);
        let others = self.others.val().square() * earlier_mask(self.others.dims(), &device);
        let others = conv2d(references, others, None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1));
        let alone = self.alone.val();
        let slope = alone.clone().narrow(1, 1, 1).reshape([1, channels]);
        let alone = (alone.narrow(1, 0, 1).reshape([1, channels]) + condition.clone() * slope).exp();
        let n = condition.dims()[0];
        causal + others + alone.reshape([n, channels, 1, 1]) + MIN_SCALE
    }
}

/// Returns a mask `[1, 1, 3, 5]`: 1 before the coefficient in raster order, 0 from it on.
fn causal_mask(device: &Device) -> Tensor<4> {
    let [rows, columns] = NEAR_KERNEL;
    let centre = (rows - 1) * columns + columns / 2;
    let mask: Vec<f32> = (0..rows * columns).map(|i| f32::from(u8::from(i < centre))).collect();
    Tensor::from_data(TensorData::new(mask, [1, 1, rows, columns]), device)
}

/// Returns a mask of the references that are coded before each channel, `[channels, references, 1, 1]`: 1 for
/// all coarser ones and the earlier ones of its layer.
fn earlier_mask([channels, references, ..]: [usize; 4], device: &Device) -> Tensor<4> {
    let coarser = references - channels;
    let mask: Vec<f32> = (0..channels)
        .flat_map(|channel| (0..references).map(move |r| f32::from(u8::from(r < coarser + channel))))
        .collect();
    Tensor::from_data(TensorData::new(mask, [channels, references, 1, 1]), device)
}

/// Returns the mean over each position and its eight neighbours.
fn neighbourhood_mean(magnitudes: Tensor<4>) -> Tensor<4> {
    avg_pool2d(magnitudes, AvgPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]))
}

fn twice_as_fine(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]))
}

/// Returns uniform noise from −½ to ½.
fn uniform_noise(dims: [usize; 4], rng: &mut impl Rng, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| rng.random_range(-0.5..0.5)).collect();
    Tensor::from_data(TensorData::new(values, dims), device)
}

/// Returns the bits of each value: −log₂ of the Laplace distribution's mass from half a step below to half a
/// step above it.
fn laplace_bits(x: Tensor<4>, scale: Tensor<4>) -> Tensor<4> {
    let x = x.abs();
    let rate = scale.recip();
    // Outside the middle: e^((½ − x)/b) · (1 − e^(−1/b)) / 2, as a logarithm.
    let far = (x.clone() - 0.5).clamp_min(0.0) * rate.clone()
        - ((rate.clone() * -1.0).exp() * -1.0 + 1.0).log()
        + std::f32::consts::LN_2;
    // In the middle: 1 − (e^((x − ½)/b) + e^(−(x + ½)/b)) / 2.
    let inner = x.clone().clamp_max(0.5);
    let sides = ((inner.clone() - 0.5) * rate.clone()).exp() + ((inner + 0.5) * rate * -1.0).exp();
    let middle = (sides * -0.5 + 1.0).clamp_min(1e-9).log() * -1.0;
    let outside = x.greater_elem(0.5);
    middle.mask_where(outside, far) / std::f32::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_laplace_distribution() {
        let device = Device::flex();
        let tensor = |values: [f32; 4]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, 1, 4]), &device)
        };
        let found = laplace_bits(tensor([0.0, 0.3, -1.0, 4.0]), tensor([0.5, 0.5, 0.5, 2.0]));
        let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
        let cumulative =
            |x: f64, b: f64| if x < 0.0 { (x / b).exp() / 2.0 } else { 1.0 - (-x / b).exp() / 2.0 };
        for (found, (x, b)) in found.iter().zip([(0.0, 0.5), (0.3, 0.5), (-1.0, 0.5), (4.0, 2.0)]) {
            let expected = -(cumulative(x + 0.5, b) - cumulative(x - 0.5, b)).log2();
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn later_values_do_not_change_earlier_predictions() {
        let device = Device::flex();
        let rates = LayerRateModel::new(3, 0, &device);
        let condition = Tensor::zeros([1, 1], &device);
        let scales_for = |channel: usize, row: usize, column: usize| {
            let mut values = vec![0.0_f32; 3 * 36];
            values[channel * 36 + row * 6 + column] = 9.0;
            let magnitudes = Tensor::from_data(TensorData::new(values, [1, 3, 6, 6]), &device);
            let scale = rates.predict_scale(&magnitudes, neighbourhood_mean(magnitudes.clone()), &condition);
            scale.into_data().try_to_vec::<f32>().unwrap()
        };
        let quiet = scales_for(2, 5, 5);
        let loud = scales_for(1, 3, 3);
        let changed: Vec<usize> = (0..108).filter(|&i| (loud[i] - quiet[i]).abs() > 1e-6).collect();
        assert!(changed.iter().all(|&i| i > 36 + 3 * 6 + 3), "{changed:?}");
        assert!(changed.contains(&(36 + 3 * 6 + 4)) && changed.contains(&(72 + 3 * 6 + 3)));
    }
}
