//! Runs a bundle through frames of the edge encoder and outputs of the cloud decoder.

use std::path::Path;

use lopside_decoder::{DecodeRequest, MAX_OUTPUTS, OutputFormat, OutputRequest, OutputValue, Runtime};
use lopside_encoder::source::EncoderInput;
use serde::Serialize;

use super::measure::{DecoderBench, OutputError};
use crate::{TrainingError, split_service::SplitService};

/// Number of frames per request.
const FRAMES_PER_REQUEST: usize = 16;

/// The figures of real frames and outputs.
#[derive(Debug, Serialize)]
pub(super) struct FrameFigures {
    /// Mean frame size in bytes, including header and latent-space id.
    pub(super) mean_frame_bytes: f64,
    pub(super) smallest_frame_bytes: usize,
    pub(super) largest_frame_bytes: usize,
    pub(super) outputs: Vec<OutputError>,
}

/// Encodes the test inputs with the edge encoder, decodes the frames with the cloud decoder and measures
/// both.
pub(super) fn measure_frames(
    folder: &Path,
    bench: &DecoderBench<'_>,
    tests: &[&EncoderInput],
    runtime: &Runtime,
) -> Result<FrameFigures, TrainingError> {
    let service = SplitService::open(folder, runtime)?;
    let requests: Vec<OutputRequest> = service
        .bundle
        .manifest
        .heads
        .iter()
        .map(|head| OutputRequest { head: head.name.clone(), version: None, format: OutputFormat::Tensor })
        .collect();
    let mut sizes = Vec::new();
    let mut found = vec![Vec::new(); requests.len()];
    for tests in tests.chunks(FRAMES_PER_REQUEST) {
        let frames =
            tests.iter().map(|input| service.encode_frame(input, None)).collect::<Result<Vec<_>, _>>()?;
        sizes.extend(frames.iter().map(Vec::len));
        for (chunk, requests) in requests.chunks(MAX_OUTPUTS).enumerate() {
            let request = DecodeRequest { outputs: requests, ..DecodeRequest::new(&frames) };
            for outputs in service.decode_frames(request)? {
                for (index, output) in outputs.into_iter().enumerate() {
                    if let OutputValue::Tensor { values, .. } = output.value {
                        found[chunk * MAX_OUTPUTS + index].extend(values);
                    }
                }
            }
        }
    }
    Ok(FrameFigures {
        mean_frame_bytes: sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64,
        smallest_frame_bytes: sizes.iter().copied().min().unwrap_or(0),
        largest_frame_bytes: sizes.iter().copied().max().unwrap_or(0),
        outputs: bench.errors(&found),
    })
}
