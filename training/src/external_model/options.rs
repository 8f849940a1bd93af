//! The options of `training split MODEL`.

use std::path::PathBuf;

use lopside_onnx::CutBudget;

/// Options of `training split MODEL`.
#[derive(Debug)]
pub(crate) struct SplitOptions {
    /// Path of the model.
    pub(crate) model: PathBuf,
    /// Numbers for open dimensions, as `SYMBOL=N`, `INPUT.AXIS=N` or `INPUT=N,N,…`.
    pub(crate) bind: Vec<String>,
    /// The place of the cut; `None` lists the possible cuts.
    pub(crate) cut: Option<CutChoice>,
    /// Whether the list has all cuts instead of the best ones.
    pub(crate) all: bool,
    /// Whether the report is printed as JSON.
    pub(crate) json: bool,
    /// What becomes of an encoder that tract cannot run.
    pub(crate) without_tract: WithoutTract,
    /// Output folder for the halves or for the bundle.
    pub(crate) out: PathBuf,
    /// The bundle to make; `None` writes the halves only.
    pub(crate) bundle: Option<BundleOptions>,
    /// Path of the ONNX Runtime library.
    pub(crate) onnxruntime: PathBuf,
    /// The command line, for the model card.
    pub(crate) command: String,
}

/// The place of a cut.
#[derive(Debug)]
pub(crate) enum CutChoice {
    /// At these tensors; the first one is the base layer.
    Tensors(Vec<String>),
    /// At the best tensor within a budget.
    Budget(CutBudget),
}

/// What becomes of the halves if tract cannot run the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutTract {
    /// They are refused, because the edge runs encoders in tract.
    Refuse,
    /// They are kept, for an encoder that does not run on edge devices.
    Keep,
}

/// Options of a bundle made from an external model.
#[derive(Debug)]
pub(crate) struct BundleOptions {
    /// Folder or file of the calibration inputs.
    pub(crate) inputs: PathBuf,
    /// The size of frames.
    pub(crate) rate: RateTarget,
    /// Mean that is subtracted from image samples of 0 to 1: one number, or one per channel.
    pub(crate) mean: Vec<f32>,
    /// Standard deviation that image samples are divided by afterwards: one number, or one per channel.
    pub(crate) std: Vec<f32>,
    /// Whether outputs with the channels of an image input are images in the same range.
    pub(crate) reconstruct: bool,
    /// File of class names, one per line.
    pub(crate) labels: Option<PathBuf>,
    /// Name of the bundle; `None` is the model's file name.
    pub(crate) name: Option<String>,
}

/// The mean size of the frames of a bundle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RateTarget {
    /// Bytes per frame, header and id included.
    FrameBytes(f64),
    /// Bits per latent value, without the header.
    BitsPerValue(f64),
}

impl Default for RateTarget {
    fn default() -> Self {
        Self::BitsPerValue(4.0)
    }
}
