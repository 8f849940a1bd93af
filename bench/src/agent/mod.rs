//! `bench agent`: the CPU time of the whole agent per image of a camera.
//!
//! ```text
//! JPEG images at a fixed pace ─► edge-encoder run: cutter, decoder, encoder, spool, uplink ─► cloud-decoder
//!                             └► ffmpeg: decoder, MJPEG encoder
//! ```
//! The same images go to the agent with the normal encoder, to the agent with the fast one, and to ffmpeg, in turns. The
//! images before the measurement warm the programs up: loading a model is not counted. The time is that of the process, user
//! and system, from `/proc`; ffmpeg runs with one thread. The figures are medians of the runs.

mod images;
mod programs;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio::runtime::Runtime;

use self::programs::{Load, measure_agent, measure_ffmpeg};
use crate::{
    BenchError,
    cloud::CloudDecoder,
    median::median_of,
    scratch::scratch_folder,
    table::{Measurement, print_rows},
};

/// The command-line options of `bench agent`.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Photo bundle
    #[arg(long, default_value = "bundles/photo", value_name = "DIR")]
    bundle: PathBuf,
    /// Image that the camera shows, resized and moved
    #[arg(long, default_value = "samples/photo/tulips.png", value_name = "FILE")]
    picture: PathBuf,
    /// Quality of the frames, 1 to 100
    #[arg(long, default_value = "50", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Images per second
    #[arg(long, default_value = "5", value_name = "N")]
    rate: NonZeroU32,
    /// Seconds that are measured per run and program
    #[arg(long, default_value = "20", value_name = "N")]
    seconds: NonZeroU32,
    /// Number of repetitions of each measurement; the median is printed
    #[arg(long, default_value = "3", value_name = "N")]
    runs: NonZeroUsize,
    /// Folder on a disk, for the spools and the archive
    #[arg(long, default_value = "out/agent", value_name = "DIR")]
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a program needs per image.
#[derive(Debug, Clone, Copy)]
struct ImageCost {
    cpu_ms: f64,
    bytes: f64,
}

pub(crate) fn run(options: &AgentArgs) -> Result<(), BenchError> {
    let runtime = Runtime::new().map_err(|source| BenchError::AsyncRuntime { source })?;
    let scratch = scratch_folder(&options.folder)?;
    let rows = runtime.block_on(measure(options, scratch.path()))?;
    print_rows(&rows, options.json)
}

async fn measure(options: &AgentArgs, folder: &Path) -> Result<Vec<Measurement>, BenchError> {
    let load = Load {
        images: images::load(&options.picture)?,
        interval: Duration::from_secs(1) / options.rate.get(),
        measured: options.rate.get().saturating_mul(options.seconds.get()) as usize,
    };
    let archive = format!("sqlite:{}", folder.join("archive.db").display());
    let bundle = ["--bundle".into(), options.bundle.clone().into_os_string()];
    let cloud = CloudDecoder::start_with(&archive, folder, &bundle)?;
    let quality = options.quality.to_string();
    let (mut ffmpeg, mut normal, mut fast) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=options.runs.get() {
        ffmpeg.push(measure_ffmpeg(&load, &folder.join(format!("ffmpeg-{run}.mjpeg"))).await?);
        let home = |name: &str| folder.join(format!("{name}-{run}"));
        let arguments = ["--quality", &quality];
        normal.push(measure_agent(&load, &options.bundle, &home("normal"), &cloud.url, &arguments).await?);
        let arguments = ["--quality", &quality, "--fast"];
        fast.push(measure_agent(&load, &options.bundle, &home("fast"), &cloud.url, &arguments).await?);
    }
    let peer = "ffmpeg, MJPEG";
    let peer_ms = median_of(&ffmpeg, |cost| cost.cpu_ms);
    let mut rows = Vec::new();
    for (name, costs) in [(peer, &ffmpeg), ("agent, normal", &normal), ("agent, fast", &fast)] {
        let cpu =
            Measurement::new(format!("{name}: CPU time"), median_of(costs, |cost| cost.cpu_ms), "ms/image");
        rows.push(if name == peer { cpu } else { cpu.with_ratio(peer, peer_ms) });
        rows.push(Measurement::new(format!("{name}: size"), median_of(costs, |cost| cost.bytes), "bytes"));
    }
    Ok(rows)
}
