//! Measures the cost of encoding on this machine.

mod fixed_latent;
mod image_codec;
mod synthetic;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use lopside_bundle::InputSpec;
use lopside_encoder::{AnyEncoder, EncodeTiming, EncodedFrame, FixedLatentEncoder, source::EncoderInput};
use lopside_latent::{IdOnWire, image_codec::Quality};
use merge::Merge as _;

use super::load_encoder;
use crate::{EdgeError, cli::BenchArgs, process_memory, settings::RootTable};

const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

/// Runs `edge-encoder bench`.
pub(super) fn run(mut args: BenchArgs, file: RootTable) -> Result<(), EdgeError> {
    args.bundle.merge(file.bundle);
    let encoder = load_encoder(args.bundle.folder()?, args.image_codec, file.image_codec)?;
    let mut inputs: Vec<EncoderInput> = Vec::new();
    if !args.inputs.is_empty() {
        inputs = encoder
            .open_inputs(&args.inputs)?
            .map(|item| Ok(item?.input))
            .collect::<Result<_, EdgeError>>()?;
    }
    match &encoder {
        AnyEncoder::FixedLatent(model, _) => {
            if inputs.is_empty() {
                inputs.push(synthetic_input(model));
            }
            let runs =
                Measurements::measure(&encoder, &inputs, args.runs.unwrap_or(fixed_latent::DEFAULT_RUNS))?;
            fixed_latent::FixedLatentFigures::new(&runs).report(args.json)
        }
        AnyEncoder::ImageCodec(_, options) => {
            if inputs.is_empty() {
                inputs.push(EncoderInput::Image(synthetic::photograph()));
            }
            let runs =
                Measurements::measure(&encoder, &inputs, args.runs.unwrap_or(image_codec::DEFAULT_RUNS))?;
            image_codec::ImageCodecFigures::new(&runs, options).report(args.json)
        }
    }
}

/// Returns a synthetic input of the encoder's own size.
fn synthetic_input(encoder: &FixedLatentEncoder) -> EncoderInput {
    match encoder.input_spec() {
        InputSpec::Picture(spec) => EncoderInput::Image(synthetic::gradient(spec.width, spec.height)),
        InputSpec::Series(_) | InputSpec::Tensor {} => {
            let count: u32 = encoder.input_dims().iter().product();
            EncoderInput::Values((0..count).map(|i| (i as f32 / 7.0).sin()).collect())
        }
    }
}

/// The measurements.
struct Measurements {
    input_count: usize,
    /// Number of encodings per input.
    runs_per_input: u32,
    /// The qualities of the images' frames, one per image; empty for other bundles.
    qualities: Vec<u8>,
    encodings: Vec<MeasuredEncoding>,
}

/// One encoding.
struct MeasuredEncoding {
    timing: EncodeTiming,
    /// Wall-clock time: with several threads the means of the stages do not show how long the slowest thread
    /// took.
    elapsed: Duration,
    frame_bytes: usize,
    megapixels: f64,
}

impl Measurements {
    fn measure(encoder: &AnyEncoder, inputs: &[EncoderInput], runs: u32) -> Result<Self, EdgeError> {
        let (mut qualities, mut encodings) = (Vec::new(), Vec::new());
        for input in inputs {
            let megapixels = match input {
                EncoderInput::Image(image) => f64::from(image.width()) * f64::from(image.height()) / 1e6,
                EncoderInput::Values(_) => 0.0,
            };
            // The first run has cold caches and compiles the plans.
            let first = encoder.encode(input, IdOnWire::Present)?;
            qualities.extend(first.quality.map(Quality::get));
            for _ in 0..runs {
                let start = Instant::now();
                let EncodedFrame { timing, frame, .. } =
                    black_box(encoder.encode(black_box(input), IdOnWire::Present)?);
                encodings.push(MeasuredEncoding {
                    timing,
                    elapsed: start.elapsed(),
                    frame_bytes: frame.len(),
                    megapixels,
                });
            }
        }
        Ok(Self { input_count: inputs.len(), runs_per_input: runs, qualities, encodings })
    }

    fn median(&self, value: impl Fn(&MeasuredEncoding) -> f64) -> f64 {
        let mut values: Vec<f64> = self.encodings.iter().map(value).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    }

    fn mean(&self, value: impl Fn(&MeasuredEncoding) -> f64) -> f64 {
        self.encodings.iter().map(value).sum::<f64>() / self.encodings.len().max(1) as f64
    }
}

/// Accessor of one stage of an encoding.
type TimingStage = fn(&EncodeTiming) -> Duration;

/// Returns the peak memory of this process in MiB.
fn peak_rss_mib() -> Option<f64> {
    process_memory::peak_resident_bytes().map(|bytes| bytes as f64 / BYTES_PER_MIB)
}

fn print_peak_rss(peak: Option<f64>) {
    match peak {
        Some(mib) => println!("peak RSS     {mib:>9.1} MiB"),
        None => println!("peak RSS     not reported by this system"),
    }
}
