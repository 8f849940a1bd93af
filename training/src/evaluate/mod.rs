//! A bundle on samples it has never seen: real frames from the real encoder, decoded by the real heads.

mod anomaly;
mod layers;
mod reconstruction;
mod through;

use std::{fmt::Write as _, path::Path};

use cloud_decoder::Runtime;
use lopside_bundle::{Cost, HeadKind};
use lopside_quality::ContactSheet;
use serde::{Deserialize, Serialize};

pub use anomaly::{AnomalyFigures, PartFigures};
pub use layers::LayerFigures;
pub use reconstruction::{Peer, PictureFigures, ReconstructionFigures};

use self::through::Through;
use crate::{TrainingError, corpus::Corpus, split_service::SplitService};

/// What a bundle does to the test samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Samples measured.
    pub samples: usize,
    /// Values of a latent, all layers.
    pub latent_values: usize,
    /// The encoder's cost.
    pub encoder: EvaluatedCost,
    /// The first head's cost.
    pub decoder: EvaluatedCost,
    /// Bytes of a frame, header and latent-space id included.
    pub frame: Spread,
    /// The share of the frames' integers that are 0.
    #[serde(default)]
    pub zeros: f64,
    /// Bytes of a sample without a codec: one a sample of a picture, four a number.
    pub raw_bytes: usize,
    /// How well the first head gives samples back.
    pub reconstruction: ReconstructionFigures,
    /// Of a latent of several layers: frames that leave the last ones out, from one layer on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fewer_layers: Vec<LayerFigures>,
    /// How often the most probable class is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// How well anomalies stand out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<AnomalyFigures>,
}

/// Parameters and multiply-accumulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluatedCost {
    /// Trained numbers.
    pub parameters: u64,
    /// Multiply-accumulates a sample.
    pub macs: u64,
}

/// A distribution of sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The smallest.
    pub min: usize,
    /// The median.
    pub median: usize,
    /// The largest.
    pub max: usize,
}

/// Measures the bundle in `folder` on `test`; PCA is fitted on `train`. Also draws the first pictures.
///
/// # Errors
/// [`TrainingError`] when the bundle is refused or a part of the path fails.
pub(crate) fn evaluate(
    folder: &Path,
    train: &Corpus,
    test: &Corpus,
    runtime: &Runtime,
) -> Result<(Evaluation, Option<ContactSheet>), TrainingError> {
    let service = SplitService::open(folder, runtime)?;
    let through = Through::send(&service, test, None)?;
    let (reconstruction, sheet) = reconstruction::figures(&service, &through, train, test, runtime)?;
    let manifest = &service.bundle.manifest;
    let scores = manifest.heads.iter().any(|head| matches!(head.kind, HeadKind::Score(_)));
    let evaluation = Evaluation {
        samples: test.len(),
        latent_values: service.bundle.space.len(),
        encoder: cost(manifest.encoder.cost),
        decoder: cost(manifest.heads[0].cost),
        frame: through.spread(),
        zeros: through.zeros(),
        raw_bytes: test.raw_bytes(),
        fewer_layers: layers::figures(&service, test)?,
        reconstruction,
        accuracy: through.accuracy(test),
        anomaly: scores.then(|| anomaly::figures(&through, test)).flatten(),
    };
    Ok((evaluation, sheet))
}

impl Evaluation {
    /// The figures as lines of tables, also for the model card.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = self.reconstruction.table(self);
        for fewer in &self.fewer_layers {
            let _ = write!(text, "\n{}", fewer.line());
        }
        if let Some(accuracy) = self.accuracy {
            let (right, bytes) = (100.0 * accuracy, self.frame.mean);
            let _ = writeln!(text, "\nClasses: {right:.2} % right, from frames of {bytes:.1} bytes.");
        }
        if let Some(anomaly) = &self.anomaly {
            let _ = write!(text, "\n{}", anomaly.table());
        }
        text
    }
}

fn cost(cost: Cost) -> EvaluatedCost {
    EvaluatedCost { parameters: cost.parameters, macs: cost.macs }
}
