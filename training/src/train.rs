//! The training loop.
//!
//! Each epoch sees every picture once, in an order that follows from the seed and the epoch alone, so a resumed
//! training ends where an uninterrupted one would. The learning rate falls from its start to zero along half a
//! cosine.

use std::{f64::consts::PI, path::Path};

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor, TensorData, activation},
};
use indicatif::{ProgressBar, ProgressStyle};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::{Deserialize, Serialize};

use crate::{TrainingError, checkpoint, data::Dataset, loss::Loss, model::Autoencoder, preset::Preset};

/// What a training is started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// What is trained.
    pub preset: Preset,
    /// What is minimised.
    pub loss: Loss,
    /// Passes over the data.
    pub epochs: usize,
    /// Pictures a step.
    pub batch: usize,
    /// The first learning rate.
    pub learning_rate: f64,
    /// Decides the initial weights and the order of the pictures.
    pub seed: u64,
}

/// One epoch's figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// From 1.
    pub epoch: usize,
    /// The mean loss over the epoch's steps.
    pub train_loss: f64,
    /// Mean squared error on the validation pictures, samples 0 to 1, latents not quantised.
    pub validation_mse: f64,
}

/// A model, its optimiser and what has been measured so far.
pub(crate) struct Trainer {
    pub(crate) model: Autoencoder,
    pub(crate) optimiser: ModuleOptimizer,
    pub(crate) history: Vec<EpochMetrics>,
    options: TrainOptions,
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
        trainer = checkpoint::load(run, trainer, options)?;
    }
    let validation = data.len() / 10;
    let split = data.len() - validation;
    let bar = progress(options.epochs, split.div_ceil(options.batch));
    bar.set_position((trainer.history.len() * split.div_ceil(options.batch)) as u64);
    for epoch in trainer.history.len()..options.epochs {
        let train_loss = trainer.epoch(data, epoch, split, &bar)?;
        let validation_mse = trainer.mse(data, split..data.len());
        trainer.history.push(EpochMetrics { epoch: epoch + 1, train_loss, validation_mse });
        checkpoint::save(run, &trainer, options)?;
    }
    bar.finish_and_clear();
    Ok(trainer.history)
}

impl Trainer {
    pub(crate) fn new(options: &TrainOptions, device: &Device) -> Self {
        let preset = options.preset;
        device.seed(options.seed);
        let device = device.clone().autodiff();
        Self {
            model: Autoencoder::new(preset.encoder_widths(), preset.decoder_widths(), &device),
            optimiser: AdamConfig::new().with_epsilon(1e-8).init(),
            history: Vec::new(),
            options: options.clone(),
            device,
        }
    }

    /// This trainer at the point where another one stopped.
    pub(crate) fn resumed(
        self,
        model: Autoencoder,
        optimiser: ModuleOptimizer,
        history: Vec<EpochMetrics>,
    ) -> Self {
        Self { model, optimiser, history, ..self }
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
        let mut rng = StdRng::seed_from_u64(self.options.seed.wrapping_add(epoch as u64 + 1));
        order.shuffle(&mut rng);
        let steps = count.div_ceil(self.options.batch);
        let mut sum = 0.0;
        for (step, indices) in order.chunks(self.options.batch).enumerate() {
            let done = (epoch * steps + step) as f64 / (self.options.epochs * steps) as f64;
            let loss = self.step(data, indices, cosine(self.options.learning_rate, done));
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
        let loss = self.options.loss.of(self.model.logits(input.clone()), input);
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

/// Half a cosine from `start` to 0 as `done` goes from 0 to 1 (Loshchilov and Hutter, SGDR, 2017, eq. 5).
fn cosine(start: f64, done: f64) -> f64 {
    start * 0.5 * (1.0 + (PI * done).cos())
}

fn progress(epochs: usize, steps: usize) -> ProgressBar {
    let bar = ProgressBar::new((epochs * steps) as u64);
    match ProgressStyle::with_template("{bar:30} {percent:>3} % {msg} ({eta} left)") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
