//! The training loop.
//!
//! Each epoch sees every picture once, in an order that follows from the seed and the epoch alone, so a resumed
//! training ends where an uninterrupted one would. The learning rate falls from its start to zero along half a
//! cosine.

use std::{fs, path::Path};

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor, TensorData, activation},
};
use indicatif::ProgressBar;
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::{
    EpochMetrics, Metrics, Preset, TrainOptions, TrainingError,
    checkpoint::{self, Checkpoint, OPTIMISER},
    curve,
    data::Dataset,
    error::io,
    model::Autoencoder,
    progress,
    schedule::cosine,
};

/// The name of the weights' file.
const MODEL: &str = "model";

/// A model, its optimiser and what has been measured so far.
struct Trainer {
    model: Autoencoder,
    optimiser: ModuleOptimizer,
    metrics: Metrics,
    device: Device,
}

/// Trains and leaves model, optimiser and metrics in `run`. With `resume`, goes on from there; the
/// options must be the same. The last tenth of the training data validates.
///
/// # Errors
/// [`TrainingError`] when there is nothing to resume, the options differ, or a file cannot be written.
pub fn train(
    options: &TrainOptions,
    data: &Dataset,
    run: &Path,
    resume: bool,
    device: &Device,
) -> Result<Vec<EpochMetrics>, TrainingError> {
    if data.len() < 20 {
        return Err(TrainingError::TooLittleData { found: data.len() });
    }
    let mut trainer = Trainer::new(options, device);
    if resume {
        trainer = trainer.resumed(run)?;
    }
    let split = data.len() - data.len() / 10;
    let steps = split.div_ceil(options.batch);
    let bar = progress::steps(options.epochs * steps, trainer.metrics.epochs.len() * steps);
    for epoch in trainer.metrics.epochs.len()..options.epochs {
        let train_loss = trainer.epoch(data, epoch, split, &bar)?;
        let validation_mse = trainer.mse(data, split..data.len());
        trainer.metrics.epochs.push(EpochMetrics { epoch: epoch + 1, train_loss, validation_mse });
        trainer.save(run)?;
        curve::draw(&trainer.metrics.epochs, &run.join("loss.svg"))?;
    }
    bar.finish_and_clear();
    Ok(trainer.metrics.epochs)
}

/// The trained model of a run, for inference.
pub(crate) fn trained(run: &Path, metrics: &Metrics) -> Result<Autoencoder, TrainingError> {
    at(run, metrics).load(MODEL, fresh(metrics.options.preset, &Device::flex()))
}

/// The last point of a run.
fn at<'a>(run: &'a Path, metrics: &Metrics) -> Checkpoint<'a> {
    Checkpoint { run, point: metrics.epochs.len() }
}

fn fresh(preset: Preset, device: &Device) -> Autoencoder {
    Autoencoder::new(preset.encoder_widths(), preset.decoder_widths(), device)
}

impl Trainer {
    fn new(options: &TrainOptions, device: &Device) -> Self {
        device.seed(options.seed);
        let device = device.clone().autodiff();
        Self {
            model: fresh(options.preset, &device),
            optimiser: AdamConfig::new().with_epsilon(1e-8).init(),
            metrics: Metrics { options: options.clone(), epochs: Vec::new() },
            device,
        }
    }

    /// This trainer at the point where the run's stopped.
    fn resumed(self, run: &Path) -> Result<Self, TrainingError> {
        let metrics = Metrics::read(run)?;
        checkpoint::check_options(run, &metrics.options, &self.metrics.options)?;
        let at = at(run, &metrics);
        let (model, optimiser) = (at.load(MODEL, self.model)?, at.load_optimiser(self.optimiser)?);
        Ok(Self { model, optimiser, metrics, device: self.device })
    }

    fn save(&self, run: &Path) -> Result<(), TrainingError> {
        fs::create_dir_all(run).map_err(io(run))?;
        let at = at(run, &self.metrics);
        at.save(MODEL, &self.model)?;
        at.save_optimiser(&self.optimiser)?;
        checkpoint::write_metrics(run, &self.metrics)?;
        Checkpoint { point: at.point - 1, ..at }.remove(&[MODEL, OPTIMISER]);
        Ok(())
    }

    /// One pass over the first `count` pictures; the mean loss.
    fn epoch(
        &mut self,
        data: &Dataset,
        epoch: usize,
        count: usize,
        bar: &ProgressBar,
    ) -> Result<f64, TrainingError> {
        let mut order: Vec<usize> = (0..count).collect();
        let mut rng = StdRng::seed_from_u64(self.metrics.options.seed.wrapping_add(epoch as u64 + 1));
        order.shuffle(&mut rng);
        let steps = count.div_ceil(self.metrics.options.batch);
        let mut sum = 0.0;
        for (step, indices) in order.chunks(self.metrics.options.batch).enumerate() {
            let done = (epoch * steps + step) as f64 / (self.metrics.options.epochs * steps) as f64;
            let loss = self.step(data, indices, cosine(self.metrics.options.learning_rate, done));
            if !loss.is_finite() {
                return Err(TrainingError::Diverged { epoch: epoch + 1, step });
            }
            sum += loss;
            bar.inc(1);
            bar.set_message(format!("epoch {} loss {:.5}", epoch + 1, sum / (step + 1) as f64));
        }
        Ok(sum / steps as f64)
    }

    fn step(&mut self, data: &Dataset, indices: &[usize], learning_rate: f64) -> f64 {
        let input = tensor(data, indices, &self.device);
        let loss = self.metrics.options.loss.of(self.model.logits(input.clone()), input);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        self.model = self.optimiser.step(learning_rate, self.model.clone(), gradients);
        f64::from(loss.into_scalar::<f32>())
    }

    /// Mean squared error over a range of pictures.
    fn mse(&self, data: &Dataset, range: std::ops::Range<usize>) -> f64 {
        let model = self.model.valid();
        let device = self.device.clone().inner();
        let indices: Vec<usize> = range.collect();
        let sums = indices.chunks(1000).map(|indices| {
            let input = tensor(data, indices, &device);
            let error = activation::sigmoid(model.logits(input.clone())) - input;
            f64::from(error.square().sum().into_scalar::<f32>())
        });
        sums.sum::<f64>() / (indices.len() * data.picture_len) as f64
    }
}

fn tensor(data: &Dataset, indices: &[usize], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(data.batch(indices), [indices.len(), data.picture_len]), device)
}
