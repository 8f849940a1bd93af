//! Measures frames without the last layers.

use serde::{Deserialize, Serialize};

use super::{reconstruction, through::RoundTrip};
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
    let all = service.bundle.space.layers().len();
    if all == 1 {
        return Ok(Vec::new());
    }
    let targets = reconstruction::sample_rows(service, test, true)?;
    (1..all)
        .map(|layers| {
            let through = RoundTrip::send(service, test, Some(layers))?;
            Ok(LayerFigures {
                layers,
                frame_bytes: through.spread().mean,
                mse_frames: reconstruction::mean_squared_error(&targets, &through.reconstructions),
                accuracy: through.accuracy(test),
            })
        })
        .collect()
}

impl LayerFigures {
    /// Formats the figures as a sentence.
    pub(super) fn to_sentence(self) -> String {
        let Self { layers, frame_bytes, mse_frames, accuracy } = self;
        let right = accuracy.map(|share| format!(", accuracy {:.2} %", 100.0 * share));
        let what =
            if layers == 1 { "The base layer".to_owned() } else { format!("The first {layers} layers") };
        format!("{what} alone: {frame_bytes:.1} bytes, MSE {mse_frames:.5}{}.\n", right.unwrap_or_default())
    }
}
