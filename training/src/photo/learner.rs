//! Trains a photo model: one step, one validation, and its state on disk.
//!
//! The loss is `distortion + λ · bit rate`, both relative to the error that rounding alone causes in the
//! linear decoder, so that every quality has the same weight. λ follows from the quantisation step Δ: for a
//! uniform quantiser at high rates, the distortion is Δ²/12 and its root is halved by every bit, so
//! `−dD/dR = ln 2 · Δ²/6` (A. Gersho and R. Gray, "Vector quantization and signal compression", 1992, section
//! 5.6).

use std::{fs, path::Path};

use burn::{
    grad_clipping::GradientClippingConfig,
    module::Module,
    optim::{AdamConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    DistortionMeasure, PhotoOptions, TrainedParts, average,
    compare::mean_of,
    double,
    model::{COARSEST_OCTAVE, FINEST_OCTAVE, PhotoModel, condition_of, quantisation_step},
    ms_ssim::ms_ssim,
    quantise::{quantise_rdoq, round_with_dead_zone},
    rates::estimate_bits,
    run::{AVERAGE_NAME, MODEL_NAME, PhotoMetrics, ValidationPoint},
    spec::PhotoSpec,
};
use crate::{
    RunError, TrainingError,
    checkpoint::{self, Checkpoint, OPTIMISER_NAME},
    error::io_error,
    photos::{Crop, PhotoBatch, TileSet},
    schedule::cosine_rate,
};

/// λ in squared steps per bit per sample.
const LAMBDA: f32 = std::f32::consts::LN_2 / 6.0;
/// Offset of the error that the loss is relative to, in squared steps; it limits the weight of smooth images.
const MSE_OFFSET: f32 = 0.003;
/// The corresponding offset for 1 − MS-SSIM.
const MS_SSIM_OFFSET: f32 = 1e-4;
/// Number of warm-up steps, during which the learning rate rises.
const WARM_UP_STEPS: f64 = 100.0;
/// Learning rates of the filters, the gains and the rate estimate, relative to the residual network's. The
/// filters start as a good transform, so they change slowly.
const FILTERS_RATE: f64 = 0.03;
const GAINS_RATE: f64 = 0.3;
const RATE_MODEL_RATE: f64 = 3.0;
/// Octaves at which validation measures: binary logarithms of the quantisation step.
const VALIDATION_OCTAVES: [f32; 4] = [3.5, 4.9, 6.1, 7.0];

/// A model with its averaged weights, its optimiser and its metrics so far.
pub(crate) struct PhotoLearner {
    pub(crate) metrics: PhotoMetrics,
    spec: PhotoSpec,
    model: PhotoModel,
    average: PhotoModel,
    optimiser: ModuleOptimizer,
    device: Device,
}

impl PhotoLearner {
    /// Returns a learner of a fresh model, or of `start`, which must track gradients.
    pub(crate) fn new(options: &PhotoOptions, start: Option<PhotoModel>, device: &Device) -> Self {
        device.seed(options.seed);
        let spec = options.spec();
        let autodiff = device.clone().autodiff();
        let mut model = start.unwrap_or_else(|| PhotoModel::new(&spec, &autodiff));
        if options.trained == TrainedParts::Decoder {
            model.analysis = model.analysis.no_grad();
            model.gains = model.gains.no_grad();
            model.rates = model.rates.no_grad();
        }
        if spec.scale > 1 {
            model.synthesis = model.synthesis.no_grad();
        }
        let clipping = Some(GradientClippingConfig::Norm(1.0));
        Self {
            metrics: PhotoMetrics { options: options.clone(), from: None, points: Vec::new() },
            average: model.valid(),
            optimiser: AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(clipping).init(),
            device: device.clone(),
            spec,
            model,
        }
    }

    /// Trains on one batch and returns its loss.
    ///
    /// # Errors
    /// [`RunError::DivergedAtStep`] when the loss is not finite.
    pub(crate) fn step(&mut self, batch: &PhotoBatch) -> Result<f64, RunError> {
        let options = &self.metrics.options;
        // The generator depends only on seed and step, so that a resumed training draws the same numbers as
        // an uninterrupted one.
        let mut rng = StdRng::seed_from_u64(options.seed.rotate_left(32) ^ batch.step as u64);
        let images = batch_tensor(batch, &self.device);
        let octave = draw_octaves(&mut rng, batch.shape[0], &self.device);
        let loss = self.loss(&Tensor::from_inner(images), &Tensor::from_inner(octave), &mut rng);
        let mut gradients = loss.backward();
        let value = f64::from(loss.into_scalar::<f32>());
        if !value.is_finite() {
            return Err(RunError::DivergedAtStep { step: batch.step });
        }
        let rate = learning_rate(options, batch.step);
        self.update(rate, &mut gradients);
        let average_rate = (10.0 / (batch.step as f32 + 10.0)).max(0.002);
        self.average = average::move_towards(self.average.clone(), &self.model.valid(), average_rate);
        Ok(value)
    }

    /// Returns the mean loss over the images: distortion + λ · bit rate, or the distortion alone if only the
    /// decoder is trained.
    fn loss(&self, images: &Tensor<4>, octave: &Tensor<2>, rng: &mut StdRng) -> Tensor<1> {
        let scaled = self.model.scaled_layers(self.encoder_input(images.clone()), octave, &self.spec);
        let [integers, scales] = quantise_layers(&self.model, &scaled, octave);
        let layers = self.model.dequantise(&integers, octave);
        let [linear, residual] = self.model.decode_parts(&layers, octave.clone(), &self.spec);
        let step = quantisation_step(octave.clone());
        let target = (images.clone() - linear.clone()) / step.clone();
        let rounding = mean_square(target.clone().detach()) + MSE_OFFSET;
        let distortion = match self.metrics.options.distortion {
            DistortionMeasure::Mse => mean_square(target - residual) / rounding.clone(),
            DistortionMeasure::MsSsim => {
                let linear_distortion =
                    ms_ssim_distortion(images, linear.clone().detach()).detach() + MS_SSIM_OFFSET;
                ms_ssim_distortion(images, linear + residual * step) / linear_distortion
            }
        };
        if self.metrics.options.trained == TrainedParts::Decoder {
            return distortion.mean();
        }
        let samples = images.dims()[1..].iter().product::<usize>() as f32;
        let bits = estimate_bits(&scaled, &scales, rng);
        (distortion + bits * (LAMBDA / samples) / rounding).mean()
    }

    /// Returns the encoder's input for images in the decoder's size.
    fn encoder_input(&self, images: Tensor<4>) -> Tensor<4> {
        if self.spec.scale == 1 { images } else { double::halve_images(images) }
    }

    fn update(&mut self, rate: f64, gradients: &mut Gradients) {
        let optimiser = &mut self.optimiser;
        let model = self.model.clone();
        self.model = PhotoModel {
            analysis: optimise_part(optimiser, rate * FILTERS_RATE, model.analysis, gradients),
            gains: optimise_part(optimiser, rate * GAINS_RATE, model.gains, gradients),
            synthesis: optimise_part(optimiser, rate * FILTERS_RATE, model.synthesis, gradients),
            trunk: optimise_part(optimiser, rate, model.trunk, gradients),
            rates: optimise_part(optimiser, rate * RATE_MODEL_RATE, model.rates, gradients),
        };
    }

    /// Measures the averaged weights on every third batch of validation tiles and adds the result to the
    /// metrics.
    pub(crate) fn validate(
        &mut self,
        tiles: &TileSet,
        crop: Crop,
        step: usize,
        train_loss: f64,
    ) -> &ValidationPoint {
        let mut rng = StdRng::seed_from_u64(self.metrics.options.seed);
        let (mut bpp, mut psnr) = (Vec::new(), Vec::new());
        for octave in VALIDATION_OCTAVES {
            let batches = tiles.validation_batches(crop, 8).step_by(3);
            let figures: Vec<[f64; 2]> =
                batches.flat_map(|batch| self.measure_batch(&batch, octave, &mut rng)).collect();
            bpp.push(mean_of(&figures, |figures| figures[0]));
            psnr.push(mean_of(&figures, |figures| figures[1]));
        }
        self.metrics.points.push(ValidationPoint { step, train_loss, bpp, psnr });
        &self.metrics.points[self.metrics.points.len() - 1]
    }

    /// Returns the bits per pixel of the encoder's input and the PSNR in dB, for each image.
    fn measure_batch(&self, batch: &PhotoBatch, octave: f32, rng: &mut StdRng) -> Vec<[f64; 2]> {
        let images = batch_tensor(batch, &self.device);
        let inputs = self.encoder_input(images.clone());
        let [n, _, h, w] = inputs.dims();
        let octave = Tensor::full([n, 1], octave, &self.device);
        let scaled = self.average.scaled_layers(inputs, &octave, &self.spec);
        let [integers, scales] = quantise_layers(&self.average, &scaled, &octave);
        let bits = estimate_bits(&scaled, &scales, rng);
        let layers = self.average.dequantise(&integers, &octave);
        let decoded = self.average.decode(&layers, octave, &self.spec).clamp(-0.5, 0.5);
        let bpp = to_values(bits).into_iter().map(|bits| bits / (h * w) as f64);
        let psnr = to_values(mean_square(decoded - images)).into_iter().map(|e| -10.0 * e.max(1e-12).log10());
        bpp.zip(psnr).map(|(bpp, psnr)| [bpp, psnr]).collect()
    }

    /// Saves the state after the last validation and removes the previous one.
    pub(crate) fn save(&self, run: &Path) -> Result<(), TrainingError> {
        fs::create_dir_all(run).map_err(io_error(run))?;
        let checkpoint = Checkpoint { run, point: self.metrics.steps_done() };
        checkpoint.save_module(MODEL_NAME, &self.model)?;
        checkpoint.save_module(AVERAGE_NAME, &self.average)?;
        checkpoint.save_optimiser(&self.optimiser)?;
        checkpoint::write_metrics(run, &self.metrics)?;
        if let [.., previous, _] = &self.metrics.points[..] {
            Checkpoint { point: previous.step, ..checkpoint }.remove(&[
                MODEL_NAME,
                AVERAGE_NAME,
                OPTIMISER_NAME,
            ]);
        }
        Ok(())
    }

    /// Restores the learner at the last checkpoint of `run`, whose options must be the same.
    pub(crate) fn resume_from(mut self, run: &Path) -> Result<Self, TrainingError> {
        let metrics = PhotoMetrics::read(run)?;
        checkpoint::check_options(run, &metrics.options, &self.metrics.options)?;
        let checkpoint = Checkpoint { run, point: metrics.steps_done() };
        self.model = checkpoint.load_module(MODEL_NAME, self.model)?;
        self.average = checkpoint.load_module(AVERAGE_NAME, self.average)?;
        self.optimiser = checkpoint.load_optimiser(self.optimiser)?;
        self.metrics = metrics;
        Ok(self)
    }
}

/// Returns the integers of scaled layers as the encoder chooses them, and their predicted scales.
fn quantise_layers(model: &PhotoModel, scaled: &[Tensor<4>], octave: &Tensor<2>) -> [Vec<Tensor<4>>; 2] {
    let rounded: Vec<_> = scaled.iter().cloned().map(round_with_dead_zone).collect();
    let scales = model.rates.predict_scales(&rounded, &condition_of(octave.clone()));
    let mut layers = rounded.into_iter();
    // The coarsest layer, whose integers are predicted, is only rounded.
    let mut integers: Vec<_> = layers.next().into_iter().collect();
    integers.extend(
        scaled[1..]
            .iter()
            .zip(&scales[1..])
            .map(|(layer, scale)| quantise_rdoq(layer.clone(), scale.clone())),
    );
    [integers, scales]
}

/// Returns a part of the model after one optimiser step; parameters without gradients do not change.
fn optimise_part<M: Module>(
    optimiser: &mut ModuleOptimizer,
    rate: f64,
    part: M,
    gradients: &mut Gradients,
) -> M {
    let gradients = GradientsParams::from_module(gradients, &part);
    optimiser.step(rate, part, gradients)
}

/// Draws one octave per image, uniform from `FINEST + 0.6` to `COARSEST`.
fn draw_octaves(rng: &mut StdRng, n: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..n).map(|_| rng.random_range(FINEST_OCTAVE + 0.6..COARSEST_OCTAVE)).collect();
    Tensor::from_data(TensorData::new(values, [n, 1]), device)
}

/// Returns the mean square of each image, `[n, 1, 1, 1]`.
fn mean_square(x: Tensor<4>) -> Tensor<4> {
    x.square().mean_dim(1).mean_dim(2).mean_dim(3)
}

/// Returns 1 − MS-SSIM of each pair of images, samples −0.5 to 0.5, `[n, 1, 1, 1]`.
fn ms_ssim_distortion(images: &Tensor<4>, other: Tensor<4>) -> Tensor<4> {
    ms_ssim(images.clone() + 0.5, other + 0.5) * -1.0 + 1.0
}

fn to_values(x: Tensor<4>) -> Vec<f64> {
    x.into_data().try_to_vec::<f32>().unwrap_or_default().into_iter().map(f64::from).collect()
}

fn batch_tensor(batch: &PhotoBatch, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(batch.samples.clone(), batch.shape), device)
}

/// Returns the learning rate of a step: a rise within [`WARM_UP_STEPS`] steps, then a fall along half a cosine.
fn learning_rate(options: &PhotoOptions, step: usize) -> f64 {
    let warm_up = ((step + 1) as f64 / WARM_UP_STEPS).min(1.0);
    cosine_rate(options.learning_rate, step as f64 / options.steps as f64) * warm_up
}

#[cfg(test)]
mod tests {
    use burn::module::Param;

    use super::*;

    fn options(distortion: DistortionMeasure) -> PhotoOptions {
        PhotoOptions {
            width: 4,
            blocks: 1,
            steps: 400,
            batch: 2,
            crop: 32,
            learning_rate: 2e-3,
            seed: 1,
            distortion,
            trained: TrainedParts::Both,
            scale: 1,
        }
    }

    /// Returns a learner after 40 steps on one batch of images of this side, with its first and last loss.
    fn train_steps(options: &PhotoOptions, side: usize) -> (PhotoLearner, [f64; 2]) {
        let wave =
            |i: usize| ((i / side % side * 3 + i % side * (1 + i / (side * side))) as f32 / 5.0).sin() * 0.4;
        let samples = (0..2 * 3 * side * side).map(wave).collect();
        let batch = PhotoBatch { step: 100, shape: [2, 3, side, side], samples };
        let mut learner = PhotoLearner::new(options, None, &Device::flex());
        let losses: Vec<f64> = (0..40).map(|_| learner.step(&batch).unwrap()).collect();
        (learner, [losses[0], losses[39]])
    }

    fn max_change<const D: usize>(a: &Param<Tensor<D>>, b: &Param<Tensor<D>>) -> f32 {
        (a.val() - b.val()).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn both_halves_learn_and_the_loss_falls() {
        for distortion in [DistortionMeasure::Mse, DistortionMeasure::MsSsim] {
            let options = options(distortion);
            let (learner, [first, last]) = train_steps(&options, 32);
            let (fresh, model) = (PhotoModel::new(&options.spec(), &Device::flex()), learner.model.valid());
            assert!(max_change(&fresh.analysis.bands, &model.analysis.bands) > 1e-5);
            assert!(max_change(&fresh.synthesis.bands, &model.synthesis.bands) > 1e-5);
            assert!(model.gains[0].val().abs().max().into_scalar::<f32>() > 1e-3);
            assert!(last < 0.9 * first, "{distortion:?}: {first} {last}");
        }
    }

    #[test]
    fn a_decoder_of_twice_the_size_learns_beside_frozen_filters() {
        let options =
            PhotoOptions { trained: TrainedParts::Decoder, scale: 2, ..options(DistortionMeasure::Mse) };
        let (learner, [first, last]) = train_steps(&options, 64);
        let (fresh, model) = (PhotoModel::new(&options.spec(), &Device::flex()), learner.model.valid());
        assert!(max_change(&fresh.analysis.bands, &model.analysis.bands) <= 0.0);
        assert!(max_change(&fresh.synthesis.bands, &model.synthesis.bands) <= 0.0);
        let detail = model.trunk.detail.unwrap();
        assert!(detail.tail.weight.val().abs().max().into_scalar::<f32>() > 1e-3);
        assert!(last < 0.9 * first, "{first} {last}");
    }
}
