//! Runs a bundle through frames of the edge encoder and outputs of the cloud decoder.

use std::path::Path;

use cloud_decoder::{Format, MAX_OUTPUTS, Request, Runtime, Value, Wanted};
use edge_encoder::source::Input;
use serde::Serialize;

use super::measure::{Bench, OutputError};
use crate::{TrainingError, split_service::SplitService};

/// Number of frames per request.
const REQUEST: usize = 16;

/// The figures of real frames and outputs.
#[derive(Debug, Serialize)]
pub(super) struct Chosen {
    /// Mean frame size in bytes, including header and latent-space id.
    pub(super) mean_frame_bytes: f64,
    pub(super) smallest_frame_bytes: usize,
    pub(super) largest_frame_bytes: usize,
    pub(super) outputs: Vec<OutputError>,
}

/// Encodes the test inputs with the edge encoder, decodes the frames with the cloud decoder and measures
/// both.
pub(super) fn through_frames(
    folder: &Path,
    bench: &Bench<'_>,
    tests: &[&Input],
    runtime: &Runtime,
) -> Result<Chosen, TrainingError> {
    let service = SplitService::open(folder, runtime)?;
    let wanted: Vec<Wanted> = service
        .bundle
        .manifest
        .heads
        .iter()
        .map(|head| Wanted { head: head.name.clone(), version: None, format: Format::Tensor })
        .collect();
    let mut sizes = Vec::new();
    let mut found = vec![Vec::new(); wanted.len()];
    for tests in tests.chunks(REQUEST) {
        let frames = tests.iter().map(|input| service.frame(input, None)).collect::<Result<Vec<_>, _>>()?;
        sizes.extend(frames.iter().map(Vec::len));
        for (part, wanted) in wanted.chunks(MAX_OUTPUTS).enumerate() {
            let request = Request { wanted, ..Request::new(&frames) };
            for answers in service.answer(request)? {
                for (number, answer) in answers.into_iter().enumerate() {
                    if let Value::Tensor { values, .. } = answer.value {
                        found[part * MAX_OUTPUTS + number].extend(values);
                    }
                }
            }
        }
    }
    Ok(Chosen {
        mean_frame_bytes: sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64,
        smallest_frame_bytes: sizes.iter().copied().min().unwrap_or(0),
        largest_frame_bytes: sizes.iter().copied().max().unwrap_or(0),
        outputs: bench.errors(&found),
    })
}
