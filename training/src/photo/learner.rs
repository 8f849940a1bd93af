//! A photo model that learns: one step, one validation, and its state on disk.
//!
//! What is minimised is `distortion + λ · bit rate`, both relative to what rounding alone costs the linear
//! decoder, so that every quality weighs the same. λ follows from the step Δ of the quality: for a uniform
//! quantiser at high rates the distortion is Δ²/12 and halves its root with every bit, so `−dD/dR = ln 2 · Δ²/6`
//! (A. Gersho and R. Gray, "Vector quantization and signal compression", 1992, section 5.6).

use std::{fs, path::Path};

use burn::{
    grad_clipping::GradientClippingConfig,
    module::Module,
    optim::{AdamConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    Distortion, PhotoOptions, Trained, average, double,
    model::{COARSEST, FINEST, PhotoModel, condition, step},
    ms_ssim::ms_ssim,
    quantise::{decide, round},
    rates::bits_of,
    run::{AVERAGE, MODEL, PhotoMetrics, PhotoPoint},
    spec::Spec,
};
use crate::{
    TrainingError,
    checkpoint::{self, Checkpoint, OPTIMISER},
    error::io,
    photos::{Batch, Crop, TileSet},
    schedule::cosine,
};

/// λ in squared steps a bit a sample.
const LAMBDA: f32 = std::f32::consts::LN_2 / 6.0;
/// What a smooth picture's error counts as at least, in squared steps.
const SMOOTH: f32 = 0.003;
/// The same of 1 − MS-SSIM.
const ALIKE: f32 = 1e-4;
/// Steps in which the learning rate rises.
const WARM_UP: f64 = 100.0;
/// The learning rates of the filters, the gains and the rate estimate, as shares of the residual network's. The
/// filters start from a good transform, so they move slowly.
const FILTERS: f64 = 0.03;
const GAINS: f64 = 0.3;
const RATES: f64 = 3.0;
/// The qualities at which validation measures, as octaves.
const VALIDATED: [f32; 4] = [3.5, 4.9, 6.1, 7.0];

/// A model, its averaged weights, its optimiser and what has been measured so far.
pub(crate) struct Learner {
    pub(crate) metrics: PhotoMetrics,
    spec: Spec,
    model: PhotoModel,
    average: PhotoModel,
    optimiser: ModuleOptimizer,
    device: Device,
}

impl Learner {
    /// A learner of a fresh model, or of `start`, which knows how to keep gradients.
    pub(crate) fn new(options: &PhotoOptions, start: Option<PhotoModel>, device: &Device) -> Self {
        device.seed(options.seed);
        let spec = options.spec();
        let autodiff = device.clone().autodiff();
        let mut model = start.unwrap_or_else(|| PhotoModel::new(&spec, &autodiff));
        if options.trained == Trained::Decoder {
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

    /// Learns from a batch; its loss.
    pub(crate) fn step(&mut self, batch: &Batch) -> Result<f64, TrainingError> {
        let options = &self.metrics.options;
        // From the step alone, so that a resumed training draws what one that was never stopped does.
        let mut rng = StdRng::seed_from_u64(options.seed.rotate_left(32) ^ batch.step as u64);
        let picture = tensor(batch, &self.device);
        let octave = octaves(&mut rng, batch.shape[0], &self.device);
        let loss = self.loss(&Tensor::from_inner(picture), &Tensor::from_inner(octave), &mut rng);
        let mut gradients = loss.backward();
        let value = f64::from(loss.into_scalar::<f32>());
        if !value.is_finite() {
            return Err(TrainingError::Diverged { epoch: 0, step: batch.step });
        }
        let rate = learning_rate(options, batch.step);
        self.update(rate, &mut gradients);
        let share = (10.0 / (batch.step as f32 + 10.0)).max(0.002);
        self.average = average::towards(self.average.clone(), &self.model.valid(), share);
        Ok(value)
    }

    /// The mean over the pictures of distortion + λ · bit rate.
    fn loss(&self, picture: &Tensor<4>, octave: &Tensor<2>, rng: &mut StdRng) -> Tensor<1> {
        let scaled = self.model.scaled(self.seen(picture.clone()), octave, &self.spec);
        let [integers, scales] = quantised(&self.model, &scaled, octave);
        let layers = self.model.dequantised(&integers, octave);
        let [linear, residual] = self.model.parts(&layers, octave.clone(), &self.spec);
        let step = step(octave.clone());
        let missing = (picture.clone() - linear.clone()) / step.clone();
        let rounding = mean_square(missing.clone().detach()) + SMOOTH;
        let distortion = match self.metrics.options.distortion {
            Distortion::Mse => mean_square(missing - residual) / rounding.clone(),
            Distortion::MsSsim => {
                let unlike = |other: Tensor<4>| ms_ssim(picture.clone() + 0.5, other + 0.5) * -1.0 + 1.0;
                let least = unlike(linear.clone().detach()).detach() + ALIKE;
                unlike(linear + residual * step) / least
            }
        };
        if self.metrics.options.trained == Trained::Decoder {
            return distortion.mean();
        }
        let samples = picture.dims()[1..].iter().product::<usize>() as f32;
        let bits = bits_of(&scaled, &scales, rng);
        (distortion + bits * (LAMBDA / samples) / rounding).mean()
    }

    /// What the encoder sees of pictures as large as the decoder's.
    fn seen(&self, picture: Tensor<4>) -> Tensor<4> {
        if self.spec.scale == 1 { picture } else { double::halved(picture) }
    }

    fn update(&mut self, rate: f64, gradients: &mut Gradients) {
        let optimiser = &mut self.optimiser;
        let model = self.model.clone();
        self.model = PhotoModel {
            analysis: moved(optimiser, rate * FILTERS, model.analysis, gradients),
            gains: moved(optimiser, rate * GAINS, model.gains, gradients),
            synthesis: moved(optimiser, rate * FILTERS, model.synthesis, gradients),
            trunk: moved(optimiser, rate, model.trunk, gradients),
            rates: moved(optimiser, rate * RATES, model.rates, gradients),
        };
    }

    /// Measures the averaged weights on the validation tiles.
    pub(crate) fn validate(
        &mut self,
        tiles: &TileSet,
        crop: Crop,
        step: usize,
        train_loss: f64,
    ) -> &PhotoPoint {
        let mut rng = StdRng::seed_from_u64(self.metrics.options.seed);
        let (mut bpp, mut psnr) = (Vec::new(), Vec::new());
        for octave in VALIDATED {
            let batches = tiles.validation_batches(crop, 8).step_by(3);
            let figures: Vec<[f64; 2]> =
                batches.flat_map(|batch| self.figures(&batch, octave, &mut rng)).collect();
            let mean = |i: usize| figures.iter().map(|f| f[i]).sum::<f64>() / figures.len() as f64;
            bpp.push(mean(0));
            psnr.push(mean(1));
        }
        self.metrics.points.push(PhotoPoint { step, train_loss, bpp, psnr });
        &self.metrics.points[self.metrics.points.len() - 1]
    }

    /// Bits a pixel that the encoder sees and PSNR in dB of each picture.
    fn figures(&self, batch: &Batch, octave: f32, rng: &mut StdRng) -> Vec<[f64; 2]> {
        let picture = tensor(batch, &self.device);
        let seen = self.seen(picture.clone());
        let [n, _, h, w] = seen.dims();
        let octave = Tensor::full([n, 1], octave, &self.device);
        let scaled = self.average.scaled(seen, &octave, &self.spec);
        let [integers, scales] = quantised(&self.average, &scaled, &octave);
        let bits = bits_of(&scaled, &scales, rng);
        let layers = self.average.dequantised(&integers, &octave);
        let decoded = self.average.decode(&layers, octave, &self.spec).clamp(-0.5, 0.5);
        let bpp = values(bits).into_iter().map(|bits| bits / (h * w) as f64);
        let psnr = values(mean_square(decoded - picture)).into_iter().map(|e| -10.0 * e.max(1e-12).log10());
        bpp.zip(psnr).map(|(bpp, psnr)| [bpp, psnr]).collect()
    }

    /// Saves the state after the last validation.
    pub(crate) fn save(&self, run: &Path) -> Result<(), TrainingError> {
        fs::create_dir_all(run).map_err(io(run))?;
        let at = Checkpoint { run, point: self.metrics.done() };
        at.save(MODEL, &self.model)?;
        at.save(AVERAGE, &self.average)?;
        at.save_optimiser(&self.optimiser)?;
        checkpoint::write_metrics(run, &self.metrics)?;
        if let [.., before, _] = &self.metrics.points[..] {
            Checkpoint { point: before.step, ..at }.remove(&[MODEL, AVERAGE, OPTIMISER]);
        }
        Ok(())
    }

    /// This learner at the point where the run's stopped.
    pub(crate) fn resumed(mut self, run: &Path) -> Result<Self, TrainingError> {
        let metrics = PhotoMetrics::read(run)?;
        checkpoint::check_options(run, &metrics.options, &self.metrics.options)?;
        let at = Checkpoint { run, point: metrics.done() };
        self.model = at.load(MODEL, self.model)?;
        self.average = at.load(AVERAGE, self.average)?;
        self.optimiser = at.load_optimiser(self.optimiser)?;
        self.metrics = metrics;
        Ok(self)
    }
}

/// The integers of scaled layers as the encoder decides on them, and the scales that it foretells.
fn quantised(model: &PhotoModel, scaled: &[Tensor<4>], octave: &Tensor<2>) -> [Vec<Tensor<4>>; 2] {
    let rounded: Vec<_> = scaled.iter().cloned().map(round).collect();
    let scales = model.rates.scales(&rounded, &condition(octave.clone()));
    let mut layers = rounded.into_iter();
    // The coarsest layer, whose integers are predicted, is only rounded.
    let mut integers: Vec<_> = layers.next().into_iter().collect();
    integers.extend(
        scaled[1..].iter().zip(&scales[1..]).map(|(layer, scale)| decide(layer.clone(), scale.clone())),
    );
    [integers, scales]
}

/// A part of the model, one step on; where it has no gradients it stays.
fn moved<M: Module>(optimiser: &mut ModuleOptimizer, rate: f64, part: M, gradients: &mut Gradients) -> M {
    let gradients = GradientsParams::from_module(gradients, &part);
    optimiser.step(rate, part, gradients)
}

/// One octave a picture, evenly over all qualities.
fn octaves(rng: &mut StdRng, n: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..n).map(|_| rng.random_range(FINEST + 0.6..COARSEST)).collect();
    Tensor::from_data(TensorData::new(values, [n, 1]), device)
}

/// The mean square of each picture, `[n, 1, 1, 1]`.
fn mean_square(x: Tensor<4>) -> Tensor<4> {
    x.square().mean_dim(1).mean_dim(2).mean_dim(3)
}

fn values(x: Tensor<4>) -> Vec<f64> {
    x.into_data().try_to_vec::<f32>().unwrap_or_default().into_iter().map(f64::from).collect()
}

fn tensor(batch: &Batch, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(batch.samples.clone(), batch.shape), device)
}

/// Up within [`WARM_UP`] steps, then down along half a cosine.
fn learning_rate(options: &PhotoOptions, step: usize) -> f64 {
    let rising = ((step + 1) as f64 / WARM_UP).min(1.0);
    cosine(options.learning_rate, step as f64 / options.steps as f64) * rising
}

#[cfg(test)]
mod tests {
    use burn::module::Param;

    use super::*;

    fn options(distortion: Distortion) -> PhotoOptions {
        PhotoOptions {
            width: 4,
            blocks: 1,
            steps: 400,
            batch: 2,
            crop: 32,
            learning_rate: 2e-3,
            seed: 1,
            distortion,
            trained: Trained::Both,
            scale: 1,
        }
    }

    /// A learner that has learnt from one batch of this side again and again, and the first and the last loss.
    fn taught(options: &PhotoOptions, side: usize) -> (Learner, [f64; 2]) {
        let wave =
            |i: usize| ((i / side % side * 3 + i % side * (1 + i / (side * side))) as f32 / 5.0).sin() * 0.4;
        let samples = (0..2 * 3 * side * side).map(wave).collect();
        let batch = Batch { step: 100, shape: [2, 3, side, side], samples };
        let mut learner = Learner::new(options, None, &Device::flex());
        let losses: Vec<f64> = (0..40).map(|_| learner.step(&batch).unwrap()).collect();
        (learner, [losses[0], losses[39]])
    }

    fn moved<const D: usize>(a: &Param<Tensor<D>>, b: &Param<Tensor<D>>) -> f32 {
        (a.val() - b.val()).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn both_halves_learn_and_the_loss_falls() {
        for distortion in [Distortion::Mse, Distortion::MsSsim] {
            let options = options(distortion);
            let (learner, [first, last]) = taught(&options, 32);
            let (fresh, model) = (PhotoModel::new(&options.spec(), &Device::flex()), learner.model.valid());
            assert!(moved(&fresh.analysis.bands, &model.analysis.bands) > 1e-5);
            assert!(moved(&fresh.synthesis.bands, &model.synthesis.bands) > 1e-5);
            assert!(model.gains[0].val().abs().max().into_scalar::<f32>() > 1e-3);
            assert!(last < 0.9 * first, "{distortion:?}: {first} {last}");
        }
    }

    #[test]
    fn a_decoder_of_twice_the_size_learns_against_what_stays() {
        let options = PhotoOptions { trained: Trained::Decoder, scale: 2, ..options(Distortion::Mse) };
        let (learner, [first, last]) = taught(&options, 64);
        let (fresh, model) = (PhotoModel::new(&options.spec(), &Device::flex()), learner.model.valid());
        assert!(moved(&fresh.analysis.bands, &model.analysis.bands) <= 0.0);
        assert!(moved(&fresh.synthesis.bands, &model.synthesis.bands) <= 0.0);
        let detail = model.trunk.detail.unwrap();
        assert!(detail.tail.weight.val().abs().max().into_scalar::<f32>() > 1e-3);
        assert!(last < 0.9 * first, "{first} {last}");
    }
}
