//! Measures frames without the last layers.

use serde::{Deserialize, Serialize};

use super::{reconstruction, round_trip::RoundTrip};
use crate::{TrainingError, corpus::Corpus, split_service::SplitService};

/// The figures of frames with the first layers of a latent only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayerFigures {
    /// Number of layers sent.
    pub layers: usize,
    /// Mean frame size in bytes, including header and latent-space id.
    pub frame_bytes: f64,
    /// Mean squared error, on the same scale as for whole frames.
    pub mse_frames: f64,
    /// Share of samples with the correct most probable class. `None` without a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// Computes the figures for every number of layers below that of the latent space.
pub(super) fn layer_figures(
    service: &SplitService,
    test: &Corpus,
) -> Result<Vec<LayerFigures>, TrainingError> {
    let layer_count = service.bundle.space.layers().len();
    if layer_count == 1 {
        return Ok(Vec::new());
    }
    let targets = reconstruction::sample_rows(service, test, true)?;
    (1..layer_count)
        .map(|layers| {
            let round_trip = RoundTrip::send(service, test, Some(layers))?;
            Ok(LayerFigures {
                layers,
                frame_bytes: round_trip.frame_sizes().mean,
                mse_frames: reconstruction::mean_squared_error(&targets, &round_trip.reconstructions),
                accuracy: round_trip.accuracy(test),
            })
        })
        .collect()
}

impl LayerFigures {
    /// Formats the figures as a sentence.
    pub(super) fn to_sentence(self) -> String {
        let Self { layers, frame_bytes, mse_frames, accuracy } = self;
        let accuracy_text = accuracy.map(|accuracy| format!(", accuracy {:.2} %", 100.0 * accuracy));
        let subject =
            if layers == 1 { "The base layer".to_owned() } else { format!("The first {layers} layers") };
        format!(
            "{subject} alone: {frame_bytes:.1} bytes, MSE {mse_frames:.5}{}.\n",
            accuracy_text.unwrap_or_default()
        )
    }
}
