//! Command-line options of `split`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use lopside_onnx::CutBudget;

use super::ExportArgs;
use crate::external_model::{BundleOptions, CutChoice, RateTarget, SplitOptions, WithoutTract};

pub(super) const EXAMPLES: &str = "\
Without MODEL, the command cuts RUN/whole.onnx of a training run into RUN/encoder.onnx and RUN/decoder.onnx.
With MODEL, but without --at, --budget-mac or --max-bytes, it lists where the model can be cut.

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

/// Options of `split`.
#[derive(Debug, Clone, Args)]
pub struct SplitArgs {
    /// An ONNX model from any source; its external data is read from its folder
    #[arg(value_name = "MODEL", conflicts_with = "run")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub external_model: UserModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub export: ExportArgs,
}

/// Options of `split MODEL`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("cut").args(["at", "budget_mac", "max_bytes"]).multiple(true))]
pub struct UserModelArgs {
    /// Number for an open dimension, by its symbol, by its input and axis as in x.2=48, or all dimensions of
    /// an input as in x=1,3,48,192; an open first dimension is 1 by default
    #[arg(long, value_name = "NAME=N", requires = "model")]
    pub bind: Vec<String>,
    /// Tensor to cut at; given several times, cut at all of them, the first being the base layer
    #[arg(long, value_name = "TENSOR", requires = "model", conflicts_with_all = ["budget_mac", "max_bytes"])]
    pub at: Vec<String>,
    /// Cut where the latent is smallest and the encoder has at most N multiply-accumulates
    #[arg(long, value_name = "N", requires = "model", conflicts_with = "max_bytes")]
    pub budget_mac: Option<u64>,
    /// Cut where the encoder is cheapest and the latent has at most N bytes as f32
    #[arg(long, value_name = "N", requires = "model")]
    pub max_bytes: Option<u64>,
    /// Output folder for encoder.onnx and decoder.onnx, or for the bundle
    #[arg(long, default_value = "out/split", value_name = "DIR", requires = "cut")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: UserBundleArgs,
    /// List all cuts, not only the best 20
    #[arg(long, requires = "model", conflicts_with = "cut")]
    pub all: bool,
    /// Print JSON
    #[arg(long, requires = "model")]
    pub json: bool,
    /// Keep the halves even if tract cannot run the encoder, for an encoder that does not run on edge devices
    #[arg(long, requires = "cut")]
    pub allow_no_tract: bool,
}

impl UserModelArgs {
    /// Returns the options of the cut of `model`; `onnxruntime` is the path of the library.
    pub(crate) fn into_options(self, model: PathBuf, onnxruntime: PathBuf) -> SplitOptions {
        let budget =
            self.budget_mac.map(CutBudget::EncoderMacs).or(self.max_bytes.map(CutBudget::LatentBytes));
        let tensors = (!self.at.is_empty()).then_some(CutChoice::Tensors(self.at));
        SplitOptions {
            model,
            bind: self.bind,
            cut: budget.map(CutChoice::Budget).or(tensors),
            all: self.all,
            json: self.json,
            without_tract: if self.allow_no_tract { WithoutTract::Keep } else { WithoutTract::Refuse },
            out: self.out,
            bundle: self.bundle.into_options(),
            onnxruntime,
            command: command_line(),
        }
    }
}

/// Options of `split MODEL` that make a bundle.
#[derive(Debug, Clone, Args)]
pub struct UserBundleArgs {
    /// Make a complete bundle for edge-encoder and cloud-decoder, with gains and tables computed from these
    /// inputs: a folder of images, which are converted to the model's input [n, 1 or 3, h, w], or a folder or
    /// file of .npy, or an .npz of one array, [n, …] of f4 or f8 as the model reads them
    #[arg(long, value_name = "INPUTS", requires = "cut", conflicts_with = "allow_no_tract")]
    pub calibrate: Option<PathBuf>,
    /// Mean size of a frame, header and id included, in bytes [default: 4 bits per value]
    #[arg(long, value_name = "BYTES", requires = "calibrate", conflicts_with = "bits")]
    pub frame_bytes: Option<f64>,
    /// Mean size of a latent value, in bits
    #[arg(long, value_name = "BITS", requires = "calibrate")]
    pub bits: Option<f64>,
    /// For image inputs: mean that is subtracted from the samples (0 to 1), one number or one per channel
    /// (red, green, blue)
    #[arg(
        long,
        value_name = "MEAN",
        default_value = "0",
        value_delimiter = ',',
        allow_negative_numbers = true,
        requires = "calibrate"
    )]
    pub mean: Vec<f32>,
    /// For image inputs: standard deviation that the samples are divided by afterwards, as in PyTorch's
    /// Normalize
    #[arg(long, value_name = "STD", default_value = "1", value_delimiter = ',', requires = "calibrate")]
    pub std: Vec<f32>,
    /// Treat outputs with the channels of an image input as images in the same range
    #[arg(long, requires = "calibrate")]
    pub reconstruct: bool,
    /// File of class names, one per line: outputs with one number per class are its logits; for a softmax
    /// output, the logits are the input of the softmax
    #[arg(long, value_name = "FILE", requires = "calibrate")]
    pub labels: Option<PathBuf>,
    /// Name of the bundle, 1 to 64 characters from a–z, 0–9 and - [default: the model's file name]
    #[arg(long, value_name = "NAME", requires = "calibrate")]
    pub name: Option<String>,
}

impl UserBundleArgs {
    /// Returns the options of the bundle; `None` without calibration inputs.
    fn into_options(self) -> Option<BundleOptions> {
        let rate = self.frame_bytes.map(RateTarget::FrameBytes).or(self.bits.map(RateTarget::BitsPerValue));
        Some(BundleOptions {
            inputs: self.calibrate?,
            rate: rate.unwrap_or_default(),
            mean: self.mean,
            std: self.std,
            reconstruct: self.reconstruct,
            labels: self.labels,
            name: self.name,
        })
    }
}

/// Returns the command line, for the model card.
fn command_line() -> String {
    let arguments = std::env::args_os().skip(1).map(|argument| quote_argument(&argument.to_string_lossy()));
    std::iter::once("training".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Quotes an argument for a shell, if it needs quotes.
fn quote_argument(argument: &str) -> String {
    let is_plain =
        argument.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./=,:+@".contains(letter));
    if is_plain && !argument.is_empty() {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', "'\\''"))
    }
}
