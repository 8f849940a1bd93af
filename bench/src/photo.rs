//! `bench photo`: the cost of encoding an image at the edge.

use std::array;

use edge_encoder::{PictureEncoder, PictureOptions, Timing};
use image::DynamicImage;
use lopside_bundle::picture::PictureBundle;
use lopside_latent::picture::Quality;
use lopside_quality::{EncodeJob, TurboJpeg, encode_times};

use crate::{
    BenchError, Options, gemm,
    input::{Job, PEER_QUALITY, open, pixels, qualities, webp},
    table::{Row, print},
};

const UNIT: &str = "ms/MP";

pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let (bundle, picture) = open(options)?;
    let encoder = PictureEncoder::new(&bundle)?;
    let (fast, mut fast_timings) = (fast(&bundle)?, Vec::new());
    let mut timings: Vec<Vec<Timing>> = qualities().map(|_| Vec::new()).collect();
    let jpeg = format!("libjpeg-turbo, quality {PEER_QUALITY}");
    let jpeg = EncodeJob::of_peer(jpeg, TurboJpeg::default(), &picture, PEER_QUALITY);
    let mut jobs = vec![jpeg, webp(4, &picture)?, webp(6, &picture)?];
    jobs.extend(qualities().zip(&mut timings).map(|(quality, t)| ours(&encoder, quality, "", &picture, t)));
    let lowest = fast.as_ref().zip(qualities().next());
    jobs.extend(lowest.map(|(fast, quality)| ours(fast, quality, "fast, ", &picture, &mut fast_timings)));
    let times = encode_times(pixels(&picture), options.runs, jobs)?;
    let mut rows = Vec::new();
    let mut model = f64::INFINITY;
    if let [jpeg, webp, slow, ours @ ..] = &times[..] {
        rows.extend([jpeg, webp, slow].map(|peer| Row::new(&peer.name, peer.ms_per_megapixel, UNIT)));
        timings.push(fast_timings);
        for (time, timings) in ours.iter().zip(&timings) {
            let (name, total) = (&time.name, time.ms_per_megapixel);
            rows.push(Row::new(name, total, UNIT).against("libwebp, method 4", webp.ms_per_megapixel));
            rows.push(Row::new(name, total, UNIT).against("libjpeg-turbo", jpeg.ms_per_megapixel));
            let stages = shares(timings).map(|share| share * total);
            let names = ["preprocessing", "encoder", "coder"];
            rows.extend((0..3).map(|i| Row::new(format!("{name}: {}", names[i]), stages[i], UNIT)));
            if !name.contains("fast") {
                model = model.min(stages[1]);
            }
        }
    }
    rows.extend(beside_gemm(&bundle, model, options)?);
    print(&rows, options.json)
}

/// Returns a job for our encoder on one thread, which appends the timing of every run to `timings`.
fn ours<'a>(
    encoder: &'a PictureEncoder,
    quality: Quality,
    speed: &str,
    picture: &'a DynamicImage,
    timings: &'a mut Vec<Timing>,
) -> Job<'a> {
    EncodeJob::new(format!("lopside, {speed}quality {}", quality.get()), move || {
        let encoded = encoder.encode(picture, &PictureOptions::new(quality))?;
        timings.push(encoded.timing);
        Ok(encoded.frame.len())
    })
}

/// Returns the fast encoder of a bundle; `None` if the bundle does not have one.
fn fast(bundle: &PictureBundle) -> Result<Option<PictureEncoder>, BenchError> {
    Ok(bundle.fast_encoder.is_some().then(|| PictureEncoder::fast(bundle)).transpose()?)
}

/// Returns the shares of the stages in the total time: preprocessing, encoder, coder. They are measured with
/// the wall clock, the only clock that the edge reads. The stages follow each other on one thread, so their
/// shares of the CPU time are the same, except for waiting, which the median over the runs removes.
fn shares(timings: &[Timing]) -> [f64; 3] {
    let shares: Vec<[f64; 3]> = timings
        .iter()
        .map(|t| {
            let stages = [t.preprocess, t.model, t.code].map(|stage| stage.as_secs_f64());
            let total: f64 = stages.iter().sum();
            stages.map(|stage| stage / total)
        })
        .collect();
    array::from_fn(|stage| {
        let mut values: Vec<f64> = shares.iter().map(|shares| shares[stage]).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    })
}

/// Compares the encoder's multiply-accumulates per second with those of a plain matrix product with the size
/// of its first convolution: both in CPU time, both counted from the shapes.
fn beside_gemm(bundle: &PictureBundle, model_ms: f64, options: &Options) -> Result<[Row; 2], BenchError> {
    let finest = bundle.space.layout().layers().len() - 1;
    let layer = bundle.space.layout().layers()[finest];
    let flops = 2.0 * bundle.manifest.encoder.cost.macs_per_pixel * 1e6;
    // The channels of the convolution, the samples of its filter, and the blocks of a strip.
    let plain = gemm::gflops(layer.channels as usize, 3 * 16 * 16, 2048, options.runs)?;
    Ok([
        Row::new("encoder", flops / (model_ms * 1e-3) / 1e9, "GFLOP/s").against("plain GEMM", plain),
        Row::new("plain GEMM of the same size", plain, "GFLOP/s"),
    ])
}
