//! The command line: the subcommands here, the options of related subcommands in one file each.

// Doc comments here are the help text, where backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

mod data;
mod given;
mod photos;
mod runtime;
mod split;
mod steps;
mod train;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::{
    data::{DataArgs, DataCommand, DataPhotosArgs, RegistryDataArgs},
    given::GivenOptions,
    photos::{FinetuneArgs, PhotoFolderArgs, PhotoModelArgs, PhotoTrainingArgs, UpscaleArgs},
    runtime::RuntimeArgs,
    split::{SplitArgs, UserBundleArgs, UserModelArgs},
    steps::{
        BundleArgs, CalibrateArgs, EvaluateArgs, ExportArgs, Fp16Args, FrameBudgetArgs, GoldenArgs, RunArgs,
    },
    train::TrainArgs,
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
  training upscale --bundle bundles/photo --run runs/photo
  training fp16 --bundle bundles/photo
  training golden --bundle bundles/fashion samples/fashion/00-ankle-boot.png"
)]
pub struct Cli {
    /// The subcommand to run
    #[command(subcommand)]
    pub command: Command,
    /// The options that stand on the command line
    #[arg(skip)]
    pub given: GivenOptions,
}

/// The subcommands of `training`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a preset: weights, metrics.json and loss.svg are written to the run's folder
    Train(TrainArgs),
    /// Write the trained model as one ONNX file, whole.onnx
    Export(RunArgs),
    /// Cut a model in two and check that the halves compute the same: a run's whole.onnx at the latent, or
    /// any ONNX model at tensors of your choice
    #[command(after_help = split::EXAMPLES)]
    Split(SplitArgs),
    /// Choose quantisation steps, count the entropy tables and write the bundle
    Calibrate(CalibrateArgs),
    /// Measure a bundle on the test images, through real frames, against PCA, JPEG and WebP
    Evaluate(EvaluateArgs),
    /// Run all of the steps above
    Bundle(BundleArgs),
    /// Print a model's layers, costs and asymmetry
    Describe(DescribeArgs),
    /// Get data sets
    #[command(subcommand)]
    Data(DataCommand),
    /// Continue to train the decoder of a photo run against its frozen encoder, and add it to the bundle as a
    /// new head version
    FinetuneDecoder(FinetuneArgs),
    /// Train a second decoder for the latents of a photo bundle, which makes images of twice the size, and
    /// add it to the bundle as head upscale, with its figures in the card; the encoder and the other heads
    /// stay the same
    #[command(after_help = photos::UPSCALE_EXAMPLES)]
    Upscale(UpscaleArgs),
    /// Add 16-bit versions of a bundle's heads, for servers with a GPU: each head gets a new version, and the
    /// previous one stays. CPUs compute in 32 bits and gain nothing from them
    #[command(after_help = steps::FP16_EXAMPLES)]
    Fp16(Fp16Args),
    /// Set the golden inputs of a bundle, on which an edge device tests an over-the-air encoder before it
    /// uses it; the latent space stays the same
    ///
    /// The files replace those in the bundle's folder golden. Each gets the frame that the encoder produces
    /// here for the first input in it. All devices that receive the bundle receive these files.
    #[command(after_help = steps::GOLDEN_EXAMPLES)]
    Golden(GoldenArgs),
}

/// Options of `describe`.
#[derive(Debug, Clone, Args)]
pub struct DescribeArgs {
    /// A preset (fashion-dense, fashion-conv, fashion-sr, fashion-skip, fashion-vae, fashion-multitask,
    /// fashion-semi, fashion-anomaly, digits-anomaly, shuttle, series-gru) or the path of a definition
    /// (.toml)
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Print JSON instead of the tables
    #[arg(long)]
    pub json: bool,
    /// Also draw the model as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}
