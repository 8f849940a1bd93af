//! Evaluates a bundle on unseen samples: real frames of the edge encoder, decoded by the cloud's heads.

mod anomaly;
mod evaluation;
mod layers;
mod reconstruction;
mod round_trip;
mod size_distribution;

use std::path::Path;

use lopside_bundle::{HeadKind, ModelCost};
use lopside_decoder::Runtime;
use lopside_quality::ContactSheet;

pub use anomaly::{AnomalyFigures, ScoreFigures};
pub use evaluation::{Evaluation, HalfCost};
pub use layers::LayerFigures;
pub use reconstruction::{BaselineCodec, ImageFigures, ReconstructionFigures};
pub use size_distribution::SizeDistribution;

use self::round_trip::RoundTrip;
use crate::{TrainingError, corpus::Corpus, split_service::SplitService};

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
    let round_trip = RoundTrip::send(&service, test, None)?;
    let (reconstruction, sheet) =
        reconstruction::reconstruction_figures(&service, &round_trip, train, test, runtime)?;
    let manifest = &service.bundle.manifest;
    let has_score_head = manifest.heads.iter().any(|head| matches!(head.kind, HeadKind::Score(_)));
    let evaluation = Evaluation {
        samples: test.len(),
        latent_values: service.bundle.space.len(),
        encoder: half_cost(manifest.encoder.cost),
        decoder: half_cost(manifest.heads[0].cost),
        frame: round_trip.frame_sizes(),
        zeros: round_trip.zero_share(),
        raw_bytes: test.raw_bytes(),
        fewer_layers: layers::layer_figures(&service, test)?,
        reconstruction,
        accuracy: round_trip.accuracy(test),
        anomaly: has_score_head.then(|| anomaly::anomaly_figures(&round_trip, test)).flatten(),
    };
    Ok((evaluation, sheet))
}

fn half_cost(cost: ModelCost) -> HalfCost {
    HalfCost { parameters: cost.parameters, macs: cost.macs }
}
