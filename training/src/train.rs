//! The training loop.
//!
//! Each epoch visits every sample once, in an order that depends on the seed and the epoch only, so that a
//! resumed training ends like an uninterrupted one. The learning rates fall from their initial values to zero
//! along half a cosine. Encoder θ and decoder φ (with the classifier) have separate optimisers.

use std::{fs, path::Path};

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams, ModuleOptimizer},
    tensor::Device,
};
use indicatif::ProgressBar;
use rand::{
    SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};

use crate::{
    DataError, EpochMetrics, Metrics, RunError, TrainingError,
    checkpoint::{self, Checkpoint},
    corpus::Corpus,
    curve,
    data::{ImageDataset, Split},
    definition::{Blueprint, differences},
    error::io_error,
    gradients,
    net::Net,
    objective::{self, TrainingBatch},
    progress,
    samples::Samples,
    schedule::cosine_rate,
};

/// File names of weights and optimiser moments.
const MODEL_FILE: &str = "model";
const ENCODER_MOMENTS_FILE: &str = "encoder-optimiser";
const DECODER_MOMENTS_FILE: &str = "decoder-optimiser";

/// If labels are rare, a batch gets one additional labelled sample per this many samples.
const SAMPLES_PER_LABELLED: usize = 2;

/// A model, its optimisers and its metrics so far.
struct Trainer {
    net: Net,
    /// Optimiser of θ.
    encoder_optimiser: ModuleOptimizer,
    /// Optimiser of φ and the classifier.
    decoder_optimiser: ModuleOptimizer,
    metrics: Metrics,
    device: Device,
}

/// Trains a model for images. With `resume`, continues from the state in `run`; the options must be the same.
///
/// # Errors
/// [`TrainingError`] when there is nothing to resume, the options differ, a file cannot be written, or the
/// data has fewer labels than the definition requires.
pub fn train(
    blueprint: &Blueprint,
    data: &ImageDataset,
    run: &Path,
    resume: bool,
    device: &Device,
) -> Result<Vec<EpochMetrics>, TrainingError> {
    let corpus = Corpus::from_images(&blueprint.definition, data.clone(), Split::Train)?;
    train_samples(blueprint, &Samples::new(&corpus, blueprint)?, run, resume, device)
}

/// Trains a model and writes its weights, optimisers and metrics to `run`. With `resume`, continues from the
/// state in `run`; the options must be the same. The last tenth of the training data is used for validation.
///
/// # Errors
/// [`TrainingError`] when there is nothing to resume, the options differ, or a file cannot be written.
pub(crate) fn train_samples(
    blueprint: &Blueprint,
    samples: &Samples,
    run: &Path,
    resume: bool,
    device: &Device,
) -> Result<Vec<EpochMetrics>, TrainingError> {
    if samples.len() < 20 {
        return Err(DataError::TooFewSamples { found: samples.len() }.into());
    }
    let options = &blueprint.definition.training;
    let mut trainer = Trainer::new(blueprint, device);
    if resume {
        trainer = trainer.resume_from(run)?;
    }
    let split = training_count(samples.len());
    let steps = split.div_ceil(options.batch);
    let bar = progress::step_bar(options.epochs * steps, trainer.metrics.epochs.len() * steps);
    for epoch in trainer.metrics.epochs.len()..options.epochs {
        let [train_loss, encoder_gradient, decoder_gradient] =
            trainer.run_epoch(samples, epoch, split, &bar)?;
        let validation_mse = trainer.mse(samples, split..samples.len());
        let epoch = epoch + 1;
        let metrics = EpochMetrics { epoch, train_loss, encoder_gradient, decoder_gradient, validation_mse };
        trainer.metrics.epochs.push(metrics);
        trainer.save(run)?;
        curve::draw(&trainer.metrics.epochs, &run.join("loss.svg"))?;
    }
    bar.finish_and_clear();
    Ok(trainer.metrics.epochs)
}

/// Returns the number of training samples among `count` samples; the others are for validation.
pub(crate) fn training_count(count: usize) -> usize {
    count - count / 10
}

/// Loads the trained model of a run, for inference.
pub(crate) fn load_trained(run: &Path, metrics: &Metrics) -> Result<Net, TrainingError> {
    let net = Net::new(&metrics.blueprint()?, &Device::flex());
    Ok(last_checkpoint(run, metrics).load_module(MODEL_FILE, net)?)
}

/// Returns the last checkpoint of a run.
fn last_checkpoint<'a>(run: &'a Path, metrics: &Metrics) -> Checkpoint<'a> {
    Checkpoint { run, point: metrics.epochs.len() }
}

fn new_optimiser() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).init()
}

impl Trainer {
    fn new(blueprint: &Blueprint, device: &Device) -> Self {
        device.seed(blueprint.definition.training.seed);
        let device = device.clone().autodiff();
        Self {
            net: Net::new(blueprint, &device),
            encoder_optimiser: new_optimiser(),
            decoder_optimiser: new_optimiser(),
            metrics: Metrics { definition: blueprint.definition.clone(), epochs: Vec::new() },
            device,
        }
    }

    /// Continues from the last checkpoint of the run.
    fn resume_from(self, run: &Path) -> Result<Self, TrainingError> {
        let metrics = Metrics::read(run)?;
        if let Some([found, requested]) = differences(&metrics.definition, &self.metrics.definition) {
            return Err(RunError::OptionsMismatch { run: run.to_owned(), found, asked: requested }.into());
        }
        let checkpoint = last_checkpoint(run, &metrics);
        let net = checkpoint.load_module(MODEL_FILE, self.net)?;
        let encoder = checkpoint.load_moments(ENCODER_MOMENTS_FILE, self.encoder_optimiser)?;
        let decoder = checkpoint.load_moments(DECODER_MOMENTS_FILE, self.decoder_optimiser)?;
        Ok(Self { net, encoder_optimiser: encoder, decoder_optimiser: decoder, metrics, device: self.device })
    }

    fn save(&self, run: &Path) -> Result<(), TrainingError> {
        fs::create_dir_all(run).map_err(io_error(run))?;
        let checkpoint = last_checkpoint(run, &self.metrics);
        checkpoint.save_module(MODEL_FILE, &self.net)?;
        checkpoint.save_moments(ENCODER_MOMENTS_FILE, &self.encoder_optimiser)?;
        checkpoint.save_moments(DECODER_MOMENTS_FILE, &self.decoder_optimiser)?;
        checkpoint::write_metrics(run, &self.metrics)?;
        Checkpoint { point: checkpoint.point - 1, ..checkpoint }.remove(&[
            MODEL_FILE,
            ENCODER_MOMENTS_FILE,
            DECODER_MOMENTS_FILE,
        ]);
        Ok(())
    }

    /// Runs one pass over the first `count` samples. Returns the means of the loss and of both gradient
    /// norms.
    fn run_epoch(
        &mut self,
        samples: &Samples,
        epoch: usize,
        count: usize,
        bar: &ProgressBar,
    ) -> Result<[f64; 3], RunError> {
        let mut order: Vec<usize> = (0..count).collect();
        let training = self.metrics.definition.training;
        let mut rng = StdRng::seed_from_u64(training.seed.wrapping_add(epoch as u64 + 1));
        order.shuffle(&mut rng);
        let steps = count.div_ceil(training.batch);
        let rare = samples.rare_labels(count);
        let mut sums = [0.0; 3];
        for (step, indices) in order.chunks(training.batch).enumerate() {
            let progress = (epoch * steps + step) as f64 / (training.epochs * steps) as f64;
            let mut indices = indices.to_vec();
            let drawn = (0..training.batch / SAMPLES_PER_LABELLED).filter_map(|_| rare.choose(&mut rng));
            indices.extend(drawn);
            let step_metrics = self.run_step(&samples.batch(&indices), progress, &mut rng);
            if !step_metrics.iter().all(|value| value.is_finite()) {
                return Err(RunError::DivergedInEpoch { epoch: epoch + 1, step });
            }
            sums.iter_mut().zip(step_metrics).for_each(|(sum, value)| *sum += value);
            bar.inc(1);
            bar.set_message(format!("epoch {} loss {:.5}", epoch + 1, sums[0] / (step + 1) as f64));
        }
        Ok(sums.map(|sum| sum / steps as f64))
    }

    /// Runs one step at the fraction `progress` of the training. Returns the loss and both gradient norms.
    fn run_step(&mut self, batch: &TrainingBatch, progress: f64, rng: &mut StdRng) -> [f64; 3] {
        let loss = objective::batch_loss(&self.net, batch, rng, &self.device);
        let mut gradients = loss.backward();
        let theta = self.net.encoder.clone();
        let phi = (self.net.decoder.clone(), self.net.classifier.clone());
        let theta_gradients = GradientsParams::from_module(&mut gradients, &theta);
        let phi_gradients = GradientsParams::from_module(&mut gradients, &phi);
        let norms = [
            gradients::gradient_norm(&theta, &theta_gradients),
            gradients::gradient_norm(&phi, &phi_gradients),
        ];
        let rates = self.metrics.definition.training;
        self.net.encoder =
            self.encoder_optimiser.step(cosine_rate(rates.encoder_rate, progress), theta, theta_gradients);
        (self.net.decoder, self.net.classifier) =
            self.decoder_optimiser.step(cosine_rate(rates.decoder_rate, progress), phi, phi_gradients);
        [f64::from(loss.into_scalar::<f32>()), norms[0], norms[1]]
    }

    /// Returns the mean squared error over a range of samples.
    fn mse(&self, samples: &Samples, range: std::ops::Range<usize>) -> f64 {
        let net = self.net.valid();
        let device = self.device.clone().inner();
        let indices: Vec<usize> = range.collect();
        let sums = indices.chunks(1000).map(|indices| {
            let batch = samples.batch(indices);
            let encoded = net.encode(objective::to_rows(&batch.input, indices.len(), &device));
            let output = net.reconstruct(encoded.latent, &encoded.taps);
            let error = output - objective::to_rows(&batch.target, indices.len(), &device);
            f64::from(error.square().sum().into_scalar::<f32>())
        });
        sums.sum::<f64>() / (indices.len() * net.blueprint().output.values()) as f64
    }
}
