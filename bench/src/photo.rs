//! `bench photo`: the cost of encoding an image at the edge.

use std::array;

use image::DynamicImage;
use lopside_bundle::image_codec::ImageCodecBundle;
use lopside_encoder::{EncodeTiming, ImageCodecEncoder, ImageCodecOptions};
use lopside_latent::image_codec::Quality;
use lopside_quality::{EncodeJob, TurboJpeg, measure_encode_times};

use crate::{
    BenchError, CodecArgs, gemm,
    input::{BASELINE_QUALITY, TimedJob, load_inputs, our_qualities, pixel_count, webp_job},
    table::{Measurement, print_rows},
};

const TIME_UNIT: &str = "ms/MP";

pub(crate) fn run(options: &CodecArgs) -> Result<(), BenchError> {
    let (bundle, image) = load_inputs(options)?;
    let encoder = ImageCodecEncoder::new(&bundle)?;
    let (fast, mut fast_timings) = (fast_encoder(&bundle)?, Vec::new());
    let mut timings: Vec<Vec<EncodeTiming>> = our_qualities().map(|_| Vec::new()).collect();
    let jpeg = format!("libjpeg-turbo, quality {BASELINE_QUALITY}");
    let jpeg = EncodeJob::for_baseline(jpeg, TurboJpeg::default(), &image, BASELINE_QUALITY);
    let mut jobs = vec![jpeg, webp_job(4, &image)?, webp_job(6, &image)?];
    jobs.extend(
        our_qualities().zip(&mut timings).map(|(quality, t)| our_job(&encoder, quality, "", &image, t)),
    );
    let lowest = fast.as_ref().zip(our_qualities().next());
    jobs.extend(lowest.map(|(fast, quality)| our_job(fast, quality, "fast, ", &image, &mut fast_timings)));
    let times = measure_encode_times(pixel_count(&image), options.runs, jobs)?;
    let mut rows = Vec::new();
    let mut model = f64::INFINITY;
    if let [jpeg, webp, slow, ours @ ..] = &times[..] {
        rows.extend(
            [jpeg, webp, slow].map(|time| Measurement::new(&time.name, time.ms_per_megapixel, TIME_UNIT)),
        );
        timings.push(fast_timings);
        for (time, timings) in ours.iter().zip(&timings) {
            let (name, total) = (&time.name, time.ms_per_megapixel);
            rows.push(
                Measurement::new(name, total, TIME_UNIT)
                    .with_ratio("libwebp, method 4", webp.ms_per_megapixel),
            );
            rows.push(
                Measurement::new(name, total, TIME_UNIT).with_ratio("libjpeg-turbo", jpeg.ms_per_megapixel),
            );
            let stages = stage_shares(timings).map(|share| share * total);
            let names = ["preprocessing", "encoder", "coder"];
            rows.extend(
                (0..3).map(|i| Measurement::new(format!("{name}: {}", names[i]), stages[i], TIME_UNIT)),
            );
            if !name.contains("fast") {
                model = model.min(stages[1]);
            }
        }
    }
    rows.extend(compare_with_gemm(&bundle, model, options)?);
    print_rows(&rows, options.json)
}

/// Returns a job for our encoder on one thread, which appends the timing of every run to `timings`.
fn our_job<'a>(
    encoder: &'a ImageCodecEncoder,
    quality: Quality,
    speed: &str,
    image: &'a DynamicImage,
    timings: &'a mut Vec<EncodeTiming>,
) -> TimedJob<'a> {
    EncodeJob::new(format!("lopside, {speed}quality {}", quality.get()), move || {
        let encoded = encoder.encode(image, &ImageCodecOptions::new(quality))?;
        timings.push(encoded.timing);
        Ok(encoded.frame.len())
    })
}

/// Returns the fast encoder of a bundle; `None` if the bundle does not have one.
fn fast_encoder(bundle: &ImageCodecBundle) -> Result<Option<ImageCodecEncoder>, BenchError> {
    Ok(bundle.fast_encoder.is_some().then(|| ImageCodecEncoder::new_fast(bundle)).transpose()?)
}

/// Returns the shares of the stages in the total time: preprocessing, encoder, coder. They are measured with
/// the wall clock, the only clock that the edge reads. The stages follow each other on one thread, so their
/// shares of the CPU time are the same, except for waiting, which the median over the runs removes.
fn stage_shares(timings: &[EncodeTiming]) -> [f64; 3] {
    let shares: Vec<[f64; 3]> = timings
        .iter()
        .map(|t| {
            let stages = [t.preprocess, t.model, t.coding].map(|stage| stage.as_secs_f64());
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
fn compare_with_gemm(
    bundle: &ImageCodecBundle,
    model_ms: f64,
    options: &CodecArgs,
) -> Result<[Measurement; 2], BenchError> {
    let finest = bundle.space.layout().layers().len() - 1;
    let layer = bundle.space.layout().layers()[finest];
    let flops = 2.0 * bundle.manifest.encoder.cost.macs_per_pixel * 1e6;
    // The channels of the convolution, the samples of its filter, and the blocks of a strip.
    let plain = gemm::measure_gflops(layer.channels as usize, 3 * 16 * 16, 2048, options.runs)?;
    Ok([
        Measurement::new("encoder", flops / (model_ms * 1e-3) / 1e9, "GFLOP/s")
            .with_ratio("plain GEMM", plain),
        Measurement::new("plain GEMM of the same size", plain, "GFLOP/s"),
    ])
}
