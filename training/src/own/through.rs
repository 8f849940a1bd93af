//! A bundle as its two halves run it: frames of the edge's encoder, answers of the cloud's decoder.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cloud_decoder::{Batching, Decoder, Format, MAX_OUTPUTS, Registry, Request, Runtime, Value, Wanted};
use edge_encoder::{Encoder, source::Input};
use lopside_bundle::{Bundle, Part};
use lopside_latent::{IdOnWire, Limits};
use serde::Serialize;

use super::measure::{Bench, OutputError};
use crate::TrainingError;

/// Frames of a request.
const REQUEST: usize = 16;

/// Real frames and answers.
#[derive(Debug, Serialize)]
pub(super) struct Chosen {
    /// Bytes of a frame.
    pub(super) mean_frame_bytes: f64,
    pub(super) smallest_frame_bytes: usize,
    pub(super) largest_frame_bytes: usize,
    pub(super) outputs: Vec<OutputError>,
}

/// Frames of the test inputs by the edge's encoder, and what the cloud's decoder answers.
pub(super) fn through_frames(
    folder: &Path,
    bench: &Bench<'_>,
    tests: &[&Input],
    runtime: &Runtime,
) -> Result<Chosen, TrainingError> {
    let bundle = Bundle::load(folder, Part::Whole)?;
    let encoder = Encoder::new(&bundle)?;
    let registry = Registry::load(&[PathBuf::from(folder)], runtime, Batching::default())?;
    let decoder = Decoder::new(Arc::new(registry), Limits::default());
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|source| TrainingError::Io { path: "tokio".into(), source })?;
    let wanted: Vec<Wanted> = bundle
        .manifest
        .heads
        .iter()
        .map(|head| Wanted { head: head.name.clone(), version: None, format: Format::Tensor })
        .collect();
    let mut sizes = Vec::new();
    let mut found = vec![Vec::new(); wanted.len()];
    for tests in tests.chunks(REQUEST) {
        let frame = |input: &&Input| Ok(encoder.encode_input(input, None, IdOnWire::Present)?.frame);
        let frames: Vec<Vec<u8>> = tests.iter().map(frame).collect::<Result<_, TrainingError>>()?;
        sizes.extend(frames.iter().map(Vec::len));
        for (part, wanted) in wanted.chunks(MAX_OUTPUTS).enumerate() {
            let request = Request { wanted, ..Request::new(&frames) };
            for answers in tokio.block_on(decoder.decode(request))? {
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
