//! The photo model's training loop.

use std::{
    f64::consts::PI,
    fs,
    path::{Path, PathBuf},
};

use burn::{
    grad_clipping::GradientClippingConfig,
    module::Module,
    optim::{AdamConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor, TensorData},
};
use indicatif::{ProgressBar, ProgressStyle};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::{
    average,
    model::{COARSEST, FINEST, PhotoModel, condition, step},
    spec::Spec,
    transform::Filters,
};
use crate::{
    TrainingError,
    error::io,
    photos::{Batch, BatchLoader, Crop, Sampling, TileSet},
};

/// How far from the middle between two integers a coefficient is rounded towards zero: 0.5 rounds to the nearest.
pub(crate) const ROUNDING: f32 = 0.4;
/// What a smooth picture's error counts as at least, in squared steps.
const SMOOTH: f32 = 0.003;
/// Steps from one validation and checkpoint to the next.
const EVERY: usize = 250;
/// Steps in which the learning rate rises.
const WARM_UP: f64 = 100.0;
/// The qualities at which validation measures, as octaves.
const VALIDATED: [f32; 4] = [3.5, 4.9, 6.1, 7.0];

/// What a photo training is started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhotoOptions {
    /// Channels of the residual network.
    pub width: usize,
    /// Its blocks.
    pub blocks: usize,
    /// Steps in all.
    pub steps: usize,
    /// Pictures a step.
    pub batch: usize,
    /// Their side, in pixels: a multiple of 32.
    pub crop: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Decides weights, pictures and qualities.
    pub seed: u64,
}

/// One validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PhotoPoint {
    /// Steps done.
    step: usize,
    /// The mean loss since the last point.
    train_loss: f64,
    /// Mean PSNR in dB over the validation tiles, averaged weights, one an octave.
    psnr: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PhotoMetrics {
    options: PhotoOptions,
    points: Vec<PhotoPoint>,
}

impl PhotoOptions {
    /// The model's shape.
    #[must_use]
    pub fn spec(&self) -> Spec {
        Spec { luma: 64, chroma: 16, merges: vec![6, 4], width: self.width, blocks: self.blocks }
    }
}

/// A training that was left in a folder.
pub(crate) struct PhotoRun {
    /// What it was started with.
    pub(crate) options: PhotoOptions,
    path: PathBuf,
    /// Steps done.
    pub(crate) done: usize,
}

impl PhotoRun {
    pub(crate) fn read(run: &Path) -> Result<Self, TrainingError> {
        let metrics = read_metrics(run)?;
        let done = metrics.points.last().map_or(0, |point| point.step);
        Ok(Self { options: metrics.options, path: run.to_owned(), done })
    }

    /// The model with its averaged weights.
    pub(crate) fn model(&self, device: &Device) -> Result<PhotoModel, TrainingError> {
        let path = file(&self.path, "average", self.done);
        let fresh = PhotoModel::new(&self.options.spec(), device);
        fresh.try_load_file(&path).map_err(|error| TrainingError::Record { path, reason: error.to_string() })
    }
}

fn read_metrics(run: &Path) -> Result<PhotoMetrics, TrainingError> {
    let path = run.join("metrics.json");
    let text = fs::read_to_string(&path).map_err(|_| TrainingError::NoRun { run: run.to_owned() })?;
    serde_json::from_str(&text).map_err(|source| TrainingError::Json { path, source })
}

struct Trainer {
    spec: Spec,
    model: PhotoModel,
    average: PhotoModel,
    frozen: Filters,
    optimiser: ModuleOptimizer,
    metrics: PhotoMetrics,
    device: Device,
}

/// A training to do.
pub(crate) struct Training {
    /// What decides the result.
    pub(crate) options: PhotoOptions,
    /// The tile cache.
    pub(crate) tiles: PathBuf,
    /// Where weights, their average, the optimiser and the figures go.
    pub(crate) run: PathBuf,
    /// Whether to go on from there.
    pub(crate) resume: bool,
    /// The step to stop after, if not at the end.
    pub(crate) until: Option<usize>,
    /// The run whose averaged weights to start from, if any.
    pub(crate) from: Option<PathBuf>,
}

impl Training {
    /// Trains the decoder.
    ///
    /// # Errors
    /// [`TrainingError`] when there is nothing to resume, the options differ, or a file cannot be read or written.
    pub(crate) fn go(&self, device: &Device) -> Result<(), TrainingError> {
        let options = &self.options;
        let crop = Crop::new(options.crop)?;
        let tiles = TileSet::open(&self.tiles)?;
        let mut trainer = self.trainer(device)?;
        let first = trainer.metrics.points.last().map_or(0, |point| point.step);
        let last = self.until.unwrap_or(options.steps).min(options.steps);
        let sampling = Sampling { seed: options.seed, batch: options.batch, crop };
        let loader = BatchLoader::new(&tiles, sampling, first, 1)?;
        let bar = progress(options.steps, first);
        let (mut sum, mut count) = (0.0, 0);
        for batch in loader.take(last.saturating_sub(first)) {
            let done = batch.step + 1;
            sum += trainer.step(&batch)?;
            count += 1;
            bar.inc(1);
            if done % EVERY == 0 || done == last {
                let point = PhotoPoint {
                    step: done,
                    train_loss: std::mem::take(&mut sum) / f64::from(std::mem::take(&mut count)),
                    psnr: trainer.validate(&tiles, crop),
                };
                bar.println(format!("step {done}: loss {:.4}, PSNR {:.3?} dB", point.train_loss, point.psnr));
                trainer.metrics.points.push(point);
                trainer.save(&self.run)?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn trainer(&self, device: &Device) -> Result<Trainer, TrainingError> {
        fs::create_dir_all(&self.run).map_err(io(&self.run))?;
        let mut trainer = Trainer::new(&self.options, device);
        if self.resume {
            return trainer.resumed(&self.run);
        }
        if let Some(from) = &self.from {
            let run = PhotoRun::read(from)?;
            trainer.model = run.model(&device.clone().autodiff())?;
            trainer.average = trainer.model.valid();
            trainer.frozen = trainer.average.analysis.clone();
        }
        Ok(trainer)
    }
}

impl Trainer {
    fn new(options: &PhotoOptions, device: &Device) -> Self {
        device.seed(options.seed);
        let spec = options.spec();
        let autodiff = device.clone().autodiff();
        let model = PhotoModel::new(&spec, &autodiff);
        let clipping = Some(GradientClippingConfig::Norm(1.0));
        Self {
            average: model.valid(),
            frozen: model.valid().analysis,
            optimiser: AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(clipping).init(),
            metrics: PhotoMetrics { options: options.clone(), points: Vec::new() },
            device: device.clone(),
            spec,
            model,
        }
    }

    fn step(&mut self, batch: &Batch) -> Result<f64, TrainingError> {
        let options = &self.metrics.options;
        let picture = tensor(batch, &self.device);
        let octave = octaves(options.seed, batch.step, batch.shape[0], &self.device);
        let layers = quantised(&self.frozen, picture.clone(), &octave, &self.spec);
        let bands = self.frozen.unmerge(&layers, &self.spec);
        let missing = picture - self.frozen.synthesise(bands.clone(), &self.spec);
        // Relative to what rounding alone costs, so that every quality weighs the same, but for smooth pictures,
        // where next to nothing is missing.
        let scale = step(octave.clone());
        let weight = (mean_square(missing.clone() / scale.clone()) + SMOOTH).recip();
        let residual = self
            .model
            .trunk
            .forward(Tensor::from_inner(bands / scale.clone()), condition(Tensor::from_inner(octave)));
        let error = residual - Tensor::from_inner(missing / scale);
        let loss = (mean_square(error) * Tensor::from_inner(weight)).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model.trunk);
        let value = f64::from(loss.into_scalar::<f32>());
        if !value.is_finite() {
            return Err(TrainingError::Diverged { epoch: 0, step: batch.step });
        }
        let rate = learning_rate(options, batch.step);
        self.model.trunk = self.optimiser.step(rate, self.model.trunk.clone(), gradients);
        let share = (10.0 / (batch.step as f32 + 10.0)).max(0.002);
        self.average.trunk = average::towards(self.average.trunk.clone(), &self.model.trunk.valid(), share);
        Ok(value)
    }

    fn validate(&self, tiles: &TileSet, crop: Crop) -> Vec<f64> {
        VALIDATED
            .iter()
            .map(|&octave| {
                let batches = tiles.validation_batches(crop, 8).step_by(3);
                let psnr: Vec<f64> = batches.map(|batch| self.psnr(&batch, octave)).collect();
                psnr.iter().sum::<f64>() / psnr.len() as f64
            })
            .collect()
    }

    fn psnr(&self, batch: &Batch, octave: f32) -> f64 {
        let picture = tensor(batch, &self.device);
        let octave = Tensor::full([batch.shape[0], 1], octave, &self.device);
        let layers = quantised(&self.frozen, picture.clone(), &octave, &self.spec);
        let decoded = self.average.decode(&layers, octave, &self.spec).clamp(-0.5, 0.5);
        let error: Vec<f32> = mean_square(decoded - picture).into_data().try_to_vec().unwrap_or_default();
        error.iter().map(|&e| -10.0 * f64::from(e.max(1e-12)).log10()).sum::<f64>()
            / error.len().max(1) as f64
    }

    fn save(&self, run: &Path) -> Result<(), TrainingError> {
        let done = self.metrics.points.last().map_or(0, |point| point.step);
        let record =
            |path: &Path, error: String| TrainingError::Record { path: path.to_owned(), reason: error };
        let path = file(run, "model", done);
        self.model.clone().save_file(&path).map_err(|e| record(&path, e.to_string()))?;
        let path = file(run, "average", done);
        self.average.clone().save_file(&path).map_err(|e| record(&path, e.to_string()))?;
        let path = file(run, "optimiser", done);
        self.optimiser.save(&path).map_err(|e| record(&path, e.to_string()))?;
        let path = run.join("metrics.json");
        let json = serde_json::to_string_pretty(&self.metrics)
            .map_err(|source| TrainingError::Json { path: path.clone(), source })?;
        let fresh = run.join("metrics.json.new");
        fs::write(&fresh, json + "\n").map_err(io(&fresh))?;
        fs::rename(&fresh, &path).map_err(io(&path))?;
        if let [.., before, _] = &self.metrics.points[..] {
            for name in ["model", "average", "optimiser"] {
                let _ = fs::remove_file(file(run, name, before.step));
            }
        }
        Ok(())
    }

    fn resumed(mut self, run: &Path) -> Result<Self, TrainingError> {
        let metrics = read_metrics(run)?;
        if metrics.options != self.metrics.options {
            return Err(TrainingError::OtherOptions {
                run: run.to_owned(),
                found: format!("{:?}", metrics.options),
                asked: format!("{:?}", self.metrics.options),
            });
        }
        let done = metrics.points.last().map_or(0, |point| point.step);
        let record =
            |path: &Path, error: String| TrainingError::Record { path: path.to_owned(), reason: error };
        let path = file(run, "model", done);
        self.model = self.model.try_load_file(&path).map_err(|e| record(&path, e.to_string()))?;
        let path = file(run, "average", done);
        self.average = self.average.try_load_file(&path).map_err(|e| record(&path, e.to_string()))?;
        let path = file(run, "optimiser", done);
        self.optimiser = self.optimiser.load(&path).map_err(|e| record(&path, e.to_string()))?;
        self.metrics = metrics;
        Ok(self)
    }
}

/// The dequantised layers of a picture.
fn quantised(filters: &Filters, picture: Tensor<4>, octave: &Tensor<2>, spec: &Spec) -> Vec<Tensor<4>> {
    let step = step(octave.clone());
    let round = |layer: Tensor<4>| {
        let scaled = layer / step.clone();
        scaled.clone().sign() * (scaled.abs() + ROUNDING).floor() * step.clone()
    };
    filters.analyse(picture, spec).into_iter().map(round).collect()
}

/// One octave a picture, evenly over all qualities.
fn octaves(seed: u64, step: usize, n: usize, device: &Device) -> Tensor<2> {
    let mut rng = StdRng::seed_from_u64(seed.rotate_left(32) ^ step as u64);
    let values: Vec<f32> = (0..n).map(|_| rng.random_range(FINEST + 0.6..COARSEST)).collect();
    Tensor::from_data(TensorData::new(values, [n, 1]), device)
}

/// The mean square of each picture, `[n, 1, 1, 1]`.
fn mean_square(x: Tensor<4>) -> Tensor<4> {
    x.square().mean_dim(1).mean_dim(2).mean_dim(3)
}

fn tensor(batch: &Batch, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(batch.samples.clone(), batch.shape), device)
}

/// Up within [`WARM_UP`] steps, then down to 0 along half a cosine.
fn learning_rate(options: &PhotoOptions, step: usize) -> f64 {
    let done = step as f64 / options.steps as f64;
    options.learning_rate * 0.5 * (1.0 + (PI * done).cos()) * ((step + 1) as f64 / WARM_UP).min(1.0)
}

fn file(run: &Path, name: &str, step: usize) -> PathBuf {
    run.join(format!("{name}-{step}.bpk"))
}

fn progress(steps: usize, first: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64).with_position(first as u64);
    match ProgressStyle::with_template("{bar:30} {percent:>3} % {msg} ({eta} left)") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
