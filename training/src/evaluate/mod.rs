//! Evaluates a bundle on unseen samples: real frames of the edge encoder, decoded by the cloud's heads.

mod anomaly;
mod layers;
mod reconstruction;
mod through;

use std::{fmt::Write as _, path::Path};

use cloud_decoder::Runtime;
use lopside_bundle::{HeadKind, ModelCost};
use lopside_quality::ContactSheet;
use serde::{Deserialize, Serialize};

pub use anomaly::{AnomalyFigures, ScoreFigures};
pub use layers::LayerFigures;
pub use reconstruction::{BaselineCodec, ImageFigures, ReconstructionFigures};

use self::through::RoundTrip;
use crate::{TrainingError, corpus::Corpus, split_service::SplitService};

/// The figures of a bundle on the test samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of samples.
    pub samples: usize,
    /// Number of values per latent, over all layers.
    pub latent_values: usize,
    /// Cost of the encoder.
    pub encoder: HalfCost,
    /// Cost of the first head.
    pub decoder: HalfCost,
    /// Frame sizes in bytes, including header and latent-space id.
    pub frame: SizeDistribution,
    /// Share of zeros among the frames' integers, 0 to 1.
    #[serde(default)]
    pub zeros: f64,
    /// Bytes per uncompressed sample: one byte per image sample, four bytes per number.
    pub raw_bytes: usize,
    /// Reconstruction error of the first head.
    pub reconstruction: ReconstructionFigures,
    /// For latents of several layers: frames without the last layers, starting with one layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fewer_layers: Vec<LayerFigures>,
    /// Share of samples with the correct most probable class. `None` without a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Separation of anomalies from normal samples. `None` without a score head or without anomalies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<AnomalyFigures>,
}

/// Parameters and multiply-accumulates of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfCost {
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-accumulates per sample.
    pub macs: u64,
}

/// A distribution of sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SizeDistribution {
    /// The mean.
    pub mean: f64,
    /// The smallest size.
    pub min: usize,
    /// The median.
    pub median: usize,
    /// The largest size.
    pub max: usize,
}

/// Evaluates the bundle in `folder` on `test`, with the PCA baseline fitted to `train`. For images, also
/// returns a contact sheet of the first ones.
///
/// # Errors
/// [`TrainingError`] when the bundle is invalid or a step fails.
pub(crate) fn evaluate_bundle(
    folder: &Path,
    train: &Corpus,
    test: &Corpus,
    runtime: &Runtime,
) -> Result<(Evaluation, Option<ContactSheet>), TrainingError> {
    let service = SplitService::open(folder, runtime)?;
    let through = RoundTrip::send(&service, test, None)?;
    let (reconstruction, sheet) =
        reconstruction::reconstruction_figures(&service, &through, train, test, runtime)?;
    let manifest = &service.bundle.manifest;
    let scores = manifest.heads.iter().any(|head| matches!(head.kind, HeadKind::Score(_)));
    let evaluation = Evaluation {
        samples: test.len(),
        latent_values: service.bundle.space.len(),
        encoder: half_cost(manifest.encoder.cost),
        decoder: half_cost(manifest.heads[0].cost),
        frame: through.spread(),
        zeros: through.zero_share(),
        raw_bytes: test.raw_bytes(),
        fewer_layers: layers::layer_figures(&service, test)?,
        reconstruction,
        accuracy: through.accuracy(test),
        anomaly: scores.then(|| anomaly::anomaly_figures(&through, test)).flatten(),
    };
    Ok((evaluation, sheet))
}

impl Evaluation {
    /// Formats the figures as Markdown tables, which the model card shows too.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = self.reconstruction.table(self);
        for fewer in &self.fewer_layers {
            let _ = write!(text, "\n{}", fewer.to_sentence());
        }
        if let Some(accuracy) = self.accuracy {
            let (right, bytes) = (100.0 * accuracy, self.frame.mean);
            let _ = writeln!(text, "\nAccuracy: {right:.2} %, through frames of {bytes:.1} bytes.");
        }
        if let Some(anomaly) = &self.anomaly {
            let _ = write!(text, "\n{}", anomaly.table());
        }
        text
    }
}

fn half_cost(cost: ModelCost) -> HalfCost {
    HalfCost { parameters: cost.parameters, macs: cost.macs }
}
