use lopside_bundle::{Digest, FixedLatentDraftHead, HeadKind};
use serde::Serialize;

use super::{
    measure::{LatentStatistics, RatePoint},
    round_trip::FrameFigures,
};

/// Report on the inputs of a bundle and on its performance.
#[derive(Debug, Serialize)]
pub(super) struct BundleReport {
    pub(super) name: String,
    pub(super) latent_space: String,
    /// File name of the model.
    pub(super) model: String,
    /// SHA-256 of the model's file.
    pub(super) sha256: Digest,
    /// Number of inputs used for gains and tables.
    pub(super) calibration_inputs: usize,
    /// Number of inputs that the figures are measured on.
    pub(super) test_inputs: usize,
    /// Whether the test inputs differ from the calibration inputs.
    pub(super) held_out: bool,
    /// Reason why the decoder takes one item at a time; `None` if it takes batches.
    pub(super) one_by_one: Option<String>,
    /// Names of outputs without a head, because they are not 32-bit floats.
    pub(super) left_out: Vec<String>,
    pub(super) layers: Vec<LatentStatistics>,
    pub(super) heads: Vec<HeadReport>,
    /// Figures per target rate in bits per value, with latents computed by ONNX Runtime.
    pub(super) sweep: Vec<RatePoint>,
    /// Figures of the bundle itself, with frames of the edge encoder and outputs of the cloud decoder.
    pub(super) chosen: FrameFigures,
}

/// A head of the report.
#[derive(Debug, Serialize)]
pub(super) struct HeadReport {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) output: String,
    pub(super) shape: Vec<u32>,
}

impl HeadReport {
    pub(super) fn from_draft(head: &FixedLatentDraftHead) -> Self {
        let kind = match head.kind {
            HeadKind::Reconstruct(_) => "reconstruct",
            HeadKind::Classify { .. } => "classify",
            HeadKind::Series(_) => "series",
            HeadKind::Score(_) => "score",
            HeadKind::Tensor {} => "tensor",
        };
        let shape = head.output.item_dims().unwrap_or_default();
        Self { name: head.name.clone(), kind, output: head.output.name.clone(), shape }
    }
}
