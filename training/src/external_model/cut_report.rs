//! The report of `training split MODEL`.

use std::path::Path;

use lopside_onnx::{Cost, OnnxError};
use lopside_quality::group_digits;
use serde::Serialize;

use super::{VerifiedHalves, verify::Agreement};
use crate::split::{DECODER_FILE, ENCODER_FILE};

/// Report on a cut, for people and programs.
#[derive(Debug, Serialize)]
pub(super) struct CutReport<'a> {
    at: &'a [String],
    latents: Vec<LatentReport<'a>>,
    encoder: CostReport,
    decoder: CostReport,
    /// Maximum differences, relative to the scale of the values.
    onnx_runtime_difference: f32,
    tract_difference: Option<f32>,
    tract_cannot: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LatentReport<'a> {
    tensor: &'a str,
    shape: &'a [i64],
    bytes: u64,
}

impl LatentReport<'_> {
    fn text(&self) -> String {
        format!("cut at {} {:?}: {} bytes as f32\n", self.tensor, self.shape, group_digits(self.bytes))
    }
}

#[derive(Debug, Serialize)]
struct CostReport {
    parameters: Option<u64>,
    macs: Option<u64>,
    /// Reason why the cost is unknown.
    unknown: Option<String>,
}

impl CostReport {
    fn new(cost: &Result<Cost, OnnxError>) -> Self {
        let known = cost.as_ref().ok();
        Self {
            parameters: known.map(|cost| cost.parameters),
            macs: known.map(|cost| cost.macs),
            unknown: cost.as_ref().err().map(ToString::to_string),
        }
    }

    fn text(&self) -> String {
        match (self.macs, self.parameters) {
            (Some(macs), Some(parameters)) => {
                format!("{} MAC, {} parameters", group_digits(macs), group_digits(parameters))
            }
            _ => format!("cost unknown: {}", self.unknown.as_deref().unwrap_or_default()),
        }
    }
}

impl<'a> CutReport<'a> {
    pub(super) fn new(at: &'a [String], halves: &'a VerifiedHalves) -> Self {
        let verification = &halves.verification;
        let latents = verification.latents.iter().map(|latent| LatentReport {
            tensor: &latent.tensor,
            shape: &latent.dims,
            bytes: 4 * latent.dims.iter().map(|&dim| dim.unsigned_abs()).product::<u64>(),
        });
        Self {
            at,
            latents: latents.collect(),
            encoder: CostReport::new(&halves.encoder_cost),
            decoder: CostReport::new(&halves.decoder_cost),
            onnx_runtime_difference: verification.onnx_runtime_difference,
            tract_difference: match verification.tract {
                Agreement::Within { difference } => Some(difference),
                Agreement::Unsupported { .. } => None,
            },
            tract_cannot: match &verification.tract {
                Agreement::Within { .. } => None,
                Agreement::Unsupported { reason } => Some(reason),
            },
        }
    }

    /// Formats the report for people; `out` is the folder of the halves.
    pub(super) fn text(&self, out: &Path) -> String {
        let tract = match self.tract_difference {
            Some(difference) => format!("tract: the encoder differs by at most {difference:.1e}\n"),
            None => format!(
                "tract cannot run the encoder, so the edge cannot use this cut: {}\n",
                self.tract_cannot.unwrap_or_default()
            ),
        };
        let last = [
            format!("{}: {}\n", out.join(ENCODER_FILE).display(), self.encoder.text()),
            format!("{}: {}\n", out.join(DECODER_FILE).display(), self.decoder.text()),
            format!(
                "ONNX Runtime: the halves differ from the whole model by at most {:.1e}\n",
                self.onnx_runtime_difference
            ),
            tract,
        ];
        self.latents.iter().map(LatentReport::text).chain(last).collect()
    }
}
