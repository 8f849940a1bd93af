//! The command line.

// Doc comments here are the help text, where backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

use std::path::PathBuf;

use burn::tensor::Device;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{Loss, Preset, TrainOptions, TrainingError, data::DEFAULT_FOLDER};

/// Trains asymmetric autoencoders, exports them to ONNX, cuts them in two, calibrates and measures them.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  training bundle --out bundles/fashion
  training train --run runs/fashion-dense --epochs 100 --loss bce
  training train --run runs/fashion-dense --epochs 100 --loss bce --resume
  training evaluate --bundle bundles/fashion"
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a preset: weights, metrics.json and loss.svg go to the run's folder
    Train(TrainArgs),
    /// Write the trained model as one ONNX file, whole.onnx
    Export(ExportArgs),
    /// Cut whole.onnx at the latent into encoder.onnx and decoder.onnx and check that they compute the same
    Split(ExportArgs),
    /// Choose quantiser steps, count the entropy tables and write the bundle
    Calibrate(CalibrateArgs),
    /// Measure a bundle on the test pictures, through real frames, beside PCA, JPEG and WebP
    Evaluate(EvaluateArgs),
    /// All of the above
    Bundle(BundleArgs),
    /// Get data sets
    #[command(subcommand)]
    Data(DataCommand),
    /// Train the photo model
    PhotoTrain(PhotoTrainArgs),
    /// Export a photo training, count its contexts and write the bundle
    PhotoBundle(PhotoBundleArgs),
    /// Measure a photo bundle beside JPEG, WebP and AVIF
    PhotoEvaluate(PhotoEvaluateArgs),
}

/// Data sets.
#[derive(Debug, Clone, Subcommand)]
pub enum DataCommand {
    /// Photographs from Debian packages: DIR/train, DIR/test and DIR/provenance.csv
    Photos(PhotosArgs),
}

/// Options of `data photos`.
#[derive(Debug, Clone, Args)]
pub struct PhotosArgs {
    /// Where they go
    #[arg(long, default_value = "data/photos", value_name = "DIR")]
    pub out: PathBuf,
    /// A folder with the .deb files, instead of downloading them
    #[arg(long, value_name = "DIR")]
    pub debs: Option<PathBuf>,
}

/// Options of `photo-bundle`.
#[derive(Debug, Clone, Args)]
pub struct PhotoBundleArgs {
    /// The run's folder
    #[arg(long, default_value = "runs/photo", value_name = "DIR")]
    pub run: PathBuf,
    /// A folder of photographs, searched recursively
    #[arg(long, default_value = "data/photos/train", value_name = "DIR")]
    pub photos: PathBuf,
    /// Where the bundle goes
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    pub out: PathBuf,
}

/// Options of `photo-evaluate`.
#[derive(Debug, Clone, Args)]
pub struct PhotoEvaluateArgs {
    /// The bundle's folder
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    pub bundle: PathBuf,
    /// The run's folder
    #[arg(long, default_value = "runs/photo", value_name = "DIR")]
    pub run: PathBuf,
    /// A folder of photographs, searched recursively
    #[arg(long, default_value = "data/photos/test", value_name = "DIR")]
    pub photos: PathBuf,
    /// Where the results go
    #[arg(long, default_value = "out/evaluation", value_name = "DIR")]
    pub out: PathBuf,
}

/// Options of `photo-train`.
#[derive(Debug, Clone, Args)]
pub struct PhotoTrainArgs {
    /// The run's folder
    #[arg(long, default_value = "runs/photo", value_name = "DIR")]
    pub run: PathBuf,
    /// A folder of photographs, searched recursively
    #[arg(long, default_value = "data/photos/train", value_name = "DIR")]
    pub photos: PathBuf,
    /// Where their tiles are kept
    #[arg(long, default_value = "data/photos/tiles", value_name = "DIR")]
    pub tiles: PathBuf,
    /// Channels of the residual network
    #[arg(long, default_value_t = 96)]
    pub width: usize,
    /// Its blocks
    #[arg(long, default_value_t = 8)]
    pub blocks: usize,
    /// Steps in all
    #[arg(long, default_value_t = 20_000)]
    pub steps: usize,
    /// Pictures a step
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
    /// Their side in pixels, a multiple of 32
    #[arg(long, default_value_t = 128)]
    pub crop: usize,
    /// The highest learning rate
    #[arg(long, default_value_t = 1e-3)]
    pub learning_rate: f64,
    /// Decides weights, pictures and qualities
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Go on from the run's folder
    #[arg(long)]
    pub resume: bool,
    /// Where to train
    #[arg(long, value_enum, default_value_t = TrainDevice::Flex)]
    pub device: TrainDevice,
}

/// Where the data is.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// The folder with Fashion-MNIST's four IDX files
    #[arg(long, env = "LOPSIDE_FASHION_MNIST", default_value = DEFAULT_FOLDER, value_name = "DIR")]
    pub data: PathBuf,
    /// Use only the first N pictures of each half
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// A run's folder.
#[derive(Debug, Clone, Args)]
pub struct RunArg {
    /// The run's folder
    #[arg(long, default_value = "runs/fashion-dense", value_name = "DIR")]
    pub run: PathBuf,
}

/// Which ONNX Runtime.
#[derive(Debug, Clone, Args)]
pub struct RuntimeArg {
    /// The ONNX Runtime library
    #[arg(long, env = "ORT_DYLIB_PATH", default_value = "libonnxruntime.so", value_name = "FILE")]
    pub onnxruntime: PathBuf,
}

/// How to train.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub run: RunArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    /// What to train
    #[arg(long, value_enum, default_value_t = Preset::FashionDense)]
    pub preset: Preset,
    /// What to minimise
    #[arg(long, value_enum, default_value_t = Loss::Mse)]
    pub loss: Loss,
    /// Passes over the data
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub epochs: usize,
    /// Pictures a step
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub batch: usize,
    /// The first learning rate; it falls to 0 along half a cosine
    #[arg(long, default_value_t = 2e-3, value_name = "RATE")]
    pub learning_rate: f64,
    /// Decides the initial weights and the order of the pictures
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Go on from the run's folder
    #[arg(long)]
    pub resume: bool,
    /// Where to train
    #[arg(long, value_enum, default_value_t = TrainDevice::Flex)]
    pub device: TrainDevice,
}

impl TrainArgs {
    /// The options that decide the result.
    #[must_use]
    pub fn options(&self) -> TrainOptions {
        TrainOptions {
            preset: self.preset,
            loss: self.loss,
            epochs: self.epochs.max(1),
            batch: self.batch.max(1),
            learning_rate: self.learning_rate,
            seed: self.seed,
        }
    }
}

/// Where to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrainDevice {
    /// The CPU
    Flex,
    /// A GPU through Vulkan, Metal or DirectX, in builds with `--features wgpu`
    Wgpu,
}

impl TrainDevice {
    /// burn's device.
    ///
    /// # Errors
    /// [`TrainingError::NoWgpu`] when it was not built in.
    pub fn open(self) -> Result<Device, TrainingError> {
        match self {
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu => Err(TrainingError::NoWgpu),
        }
    }
}

/// Options of `export` and `split`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub run: RunArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArg,
}

/// Options of `calibrate`.
#[derive(Debug, Clone, Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub export: ExportArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub budget: BudgetArg,
    /// Where the bundle goes
    #[arg(long, default_value = "bundles/fashion", value_name = "DIR")]
    pub out: PathBuf,
}

/// How large frames may be.
#[derive(Debug, Clone, Copy, Args)]
pub struct BudgetArg {
    /// The mean frame of the training pictures, header and id included, in bytes
    #[arg(long, default_value_t = 28.0, value_name = "BYTES")]
    pub frame_bytes: f64,
}

/// Options of `evaluate`.
#[derive(Debug, Clone, Args)]
pub struct EvaluateArgs {
    /// The bundle's folder
    #[arg(long, default_value = "bundles/fashion", value_name = "DIR")]
    pub bundle: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    /// Where evaluation.json and contact-sheet.png go
    #[arg(long, default_value = "out/evaluation", value_name = "DIR")]
    pub out: PathBuf,
    /// Print JSON instead of the table
    #[arg(long)]
    pub json: bool,
}

/// Options of `bundle`.
#[derive(Debug, Clone, Args)]
pub struct BundleArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub train: TrainArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub budget: BudgetArg,
    /// Where the bundle goes
    #[arg(long, default_value = "bundles/fashion", value_name = "DIR")]
    pub out: PathBuf,
}
