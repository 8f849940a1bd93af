//! Frames that leave the last layers out.

use serde::{Deserialize, Serialize};

use super::{Through, reconstruction};
use crate::{TrainingError, corpus::Corpus, split_service::SplitService};

/// What the first layers of a latent are good for by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayerFigures {
    /// How many of them are sent.
    pub layers: usize,
    /// The mean frame in bytes, header and latent-space id included.
    pub frame_bytes: f64,
    /// Mean squared error, as that of the whole frames.
    pub mse_frames: f64,
    /// How often the most probable class is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// The figures for every number of layers below that of the latent space.
pub(super) fn figures(service: &SplitService, test: &Corpus) -> Result<Vec<LayerFigures>, TrainingError> {
    let all = service.bundle.space.layers().len();
    if all == 1 {
        return Ok(Vec::new());
    }
    let targets = reconstruction::rows(service, test, true)?;
    let of = |layers| {
        let through = Through::send(service, test, Some(layers))?;
        Ok(LayerFigures {
            layers,
            frame_bytes: through.spread().mean,
            mse_frames: reconstruction::mse(&targets, &through.reconstructions),
            accuracy: through.accuracy(test),
        })
    };
    (1..all).map(of).collect()
}

impl LayerFigures {
    /// The figures as a sentence.
    pub(super) fn line(&self) -> String {
        let Self { layers, frame_bytes, mse_frames, accuracy } = self;
        let right = accuracy.map(|share| format!(", {:.2} % of the classes right", 100.0 * share));
        let what =
            if *layers == 1 { "The base layer".to_owned() } else { format!("The first {layers} layers") };
        format!("{what} alone: {frame_bytes:.1} bytes, MSE {mse_frames:.5}{}.\n", right.unwrap_or_default())
    }
}
