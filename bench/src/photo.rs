//! `bench photo`: what a picture costs at the edge.

use std::time::Duration;

use edge_encoder::{PictureEncoder, PictureOptions, Timing};
use image::DynamicImage;
use lopside_bundle::picture::PictureBundle;
use lopside_latent::picture::Quality;
use lopside_quality::{Peer, TurboJpeg, Webp, encode_ms_per_megapixel};

use crate::{
    BenchError, Options, gemm,
    input::{open, pixels},
    table::{Row, print},
};

const UNIT: &str = "ms/MP";
/// Our qualities: low, middle and high bit rates.
const QUALITIES: [u8; 3] = [25, 45, 65];

pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let (bundle, picture) = open(options)?;
    let jpeg = peer(&TurboJpeg::default(), 75, &picture, options)?;
    let webp = peer(&Webp::with_method(4)?, 75, &picture, options)?;
    let slow = peer(&Webp::with_method(6)?, 75, &picture, options)?;
    let mut rows = vec![
        Row::new("libjpeg-turbo, quality 75", jpeg, UNIT),
        Row::new("libwebp, method 4, quality 75", webp, UNIT),
        Row::new("libwebp, method 6, quality 75", slow, UNIT),
    ];
    let encoder = PictureEncoder::new(&bundle)?;
    let mut model = Vec::new();
    for quality in QUALITIES.into_iter().filter_map(Quality::new) {
        let (total, timing) = ours(&encoder, quality, &picture, options)?;
        let name = |stage: &str| format!("lopside, quality {}{stage}", quality.get());
        rows.push(Row::new(name(""), total, UNIT).against("libwebp, method 4", webp));
        rows.push(Row::new(name(""), total, UNIT).against("libjpeg-turbo", jpeg));
        let stages = [(": preprocessing", timing[0]), (": encoder", timing[1]), (": coder", timing[2])];
        rows.extend(stages.map(|(stage, value)| Row::new(name(stage), value, UNIT)));
        model.push(timing[1]);
    }
    rows.extend(peak(&bundle, &model, options));
    print(&rows, options.json)
}

fn peer(peer: &dyn Peer, quality: u8, picture: &DynamicImage, options: &Options) -> Result<f64, BenchError> {
    encode_ms_per_megapixel(pixels(picture), options.runs, || Ok(peer.encode(picture, quality).map(drop)?))
}

/// CPU time in all, and the medians of the stages, in ms a megapixel.
fn ours(
    encoder: &PictureEncoder,
    quality: Quality,
    picture: &DynamicImage,
    options: &Options,
) -> Result<(f64, [f64; 3]), BenchError> {
    let mut timings = Vec::new();
    let total = encode_ms_per_megapixel(pixels(picture), options.runs, || {
        timings.push(encoder.encode(picture, &PictureOptions::new(quality))?.timing);
        Ok::<_, BenchError>(())
    })?;
    let median = |stage: fn(&Timing) -> Duration| {
        let mut times: Vec<f64> = timings.iter().map(|timing| stage(timing).as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2] / (pixels(picture) as f64 / 1e6)
    };
    Ok((total, [median(|t| t.preprocess), median(|t| t.model), median(|t| t.code)]))
}

/// How near the encoder comes to what the core can do.
fn peak(bundle: &PictureBundle, model_ms: &[f64], options: &Options) -> [Row; 2] {
    let finest = bundle.space.layout().layers().len() - 1;
    let layer = bundle.space.layout().layers()[finest];
    let fastest = model_ms.iter().copied().fold(f64::INFINITY, f64::min);
    let flops = 2.0 * bundle.manifest.encoder.cost.macs_per_pixel * 1e6;
    // The first convolution as a product: its channels by its filter's samples by the blocks of a strip.
    let plain = gemm::gflops(layer.channels as usize, 3 * 16 * 16, 2048, options.runs);
    [
        Row::new("encoder", flops / (fastest * 1e-3) / 1e9, "GFLOP/s").against("plain GEMM", plain),
        Row::new("plain GEMM of its size", plain, "GFLOP/s"),
    ]
}
