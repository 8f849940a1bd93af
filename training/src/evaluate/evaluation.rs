//! The result of an evaluation, with its Markdown tables.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{
    anomaly::AnomalyFigures, layers::LayerFigures, reconstruction::ReconstructionFigures,
    size_distribution::SizeDistribution,
};

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

impl Evaluation {
    /// Formats the figures as Markdown tables, which the model card shows too.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = self.reconstruction.table(self.frame, self.latent_values, self.raw_bytes);
        for fewer in &self.fewer_layers {
            let _ = write!(text, "\n{}", fewer.to_sentence());
        }
        if let Some(accuracy) = self.accuracy {
            let (percent, bytes) = (100.0 * accuracy, self.frame.mean);
            let _ = writeln!(text, "\nAccuracy: {percent:.2} %, through frames of {bytes:.1} bytes.");
        }
        if let Some(anomaly) = &self.anomaly {
            let _ = write!(text, "\n{}", anomaly.table());
        }
        text
    }
}
