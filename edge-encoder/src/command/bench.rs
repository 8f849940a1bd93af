use std::{fs, hint::black_box, time::Duration};

use image::{DynamicImage, GrayImage, Luma};
use lopside_latent::IdOnWire;
use serde::Serialize;

use super::load;
use crate::{EdgeError, Encoder, Timing, cli::BenchArgs, config::FileConfig, source};

#[derive(Serialize)]
struct Figures {
    pictures: usize,
    runs_a_picture: u32,
    median_preprocess_us: f64,
    median_model_us: f64,
    median_code_us: f64,
    median_total_us: f64,
    mean_frame_bytes: f64,
    /// `null` where the system does not tell.
    peak_rss_mib: Option<f64>,
}

/// `edge-encoder bench`.
pub(super) fn run(args: BenchArgs, file: &FileConfig) -> Result<(), EdgeError> {
    let encoder = Encoder::new(&load(&file.bundle(args.bundle.bundle)?)?)?;
    let pictures = if args.inputs.is_empty() {
        vec![gradient(encoder.preprocess().width, encoder.preprocess().height)]
    } else {
        source::open(&args.inputs)?.map(|item| Ok(item?.picture)).collect::<Result<_, EdgeError>>()?
    };
    let figures = measure(&encoder, &pictures, args.runs)?;
    if args.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        print(&figures);
    }
    Ok(())
}

fn measure(encoder: &Encoder, pictures: &[DynamicImage], runs: u32) -> Result<Figures, EdgeError> {
    let (mut timings, mut bytes) = (Vec::new(), 0);
    for picture in pictures {
        // The first run finds cold caches.
        encoder.encode(picture, IdOnWire::Present)?;
        for _ in 0..runs {
            let encoded = black_box(encoder.encode(black_box(picture), IdOnWire::Present)?);
            bytes += encoded.frame.len();
            timings.push(encoded.timing);
        }
    }
    Ok(Figures {
        pictures: pictures.len(),
        runs_a_picture: runs,
        median_preprocess_us: median_us(&timings, |timing| timing.preprocess),
        median_model_us: median_us(&timings, |timing| timing.model),
        median_code_us: median_us(&timings, |timing| timing.code),
        median_total_us: median_us(&timings, Timing::total),
        mean_frame_bytes: bytes as f64 / timings.len().max(1) as f64,
        peak_rss_mib: peak_rss_mib(),
    })
}

fn median_us(timings: &[Timing], stage: fn(&Timing) -> Duration) -> f64 {
    let mut times: Vec<Duration> = timings.iter().map(stage).collect();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// The high-water mark of this process's memory, which Linux keeps in `/proc/self/status` in KiB.
fn peak_rss_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

fn gradient(width: u32, height: u32) -> DynamicImage {
    let shade = |x: u32, y: u32| Luma([(255 * (x + y) / (width + height)) as u8]);
    GrayImage::from_fn(width, height, shade).into()
}

fn print(figures: &Figures) {
    println!("pictures     {} × {} runs", figures.pictures, figures.runs_a_picture);
    println!("preprocess   {:>9.1} µs (median)", figures.median_preprocess_us);
    println!("encoder      {:>9.1} µs", figures.median_model_us);
    println!("latent coder {:>9.1} µs", figures.median_code_us);
    println!("total        {:>9.1} µs", figures.median_total_us);
    println!("frame        {:>9.1} bytes (mean)", figures.mean_frame_bytes);
    match figures.peak_rss_mib {
        Some(mib) => println!("peak RSS     {mib:>9.1} MiB"),
        None => println!("peak RSS     not told by this system"),
    }
}
