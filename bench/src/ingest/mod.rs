//! `bench ingest`: the frames per second that a cloud-decoder commits to its archive, and the response time
//! of its lists.
//!
//! Devices are connections with the real protocol, each with a few messages in flight. The baseline is a loop
//! that inserts the same frames into an SQLite table (WAL, `synchronous=FULL`), with one transaction per
//! message: the best that a server without a group commit could achieve.

mod device;
mod lists;
mod sqlite_baseline;

use std::{num::NonZeroUsize, path::PathBuf, time::Instant};

use clap::Args;
use tokio::{runtime::Runtime, task::JoinSet};

use self::device::DeviceLoad;
use crate::{
    BenchError,
    cloud::CloudDecoder,
    median::median,
    scratch::scratch_folder,
    table::{Measurement, print_rows},
};

/// The command-line options of `bench ingest`.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Folder on the disk to measure
    #[arg(long, default_value = "out/ingest", value_name = "DIR")]
    folder: PathBuf,
    /// Number of devices that send at the same time
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000", value_name = "N")]
    devices: Vec<NonZeroUsize>,
    /// Number of frames that all devices together send
    #[arg(long, default_value = "50000", value_name = "N")]
    frames: usize,
    /// Bytes per frame
    #[arg(long, default_value = "50", value_name = "N")]
    bytes: usize,
    /// Frames per message
    #[arg(long, default_value = "100", value_name = "N")]
    together: NonZeroUsize,
    /// Number of frames in the archive whose lists are measured; 0 skips this measurement
    #[arg(long, default_value = "1000000", value_name = "N")]
    list: usize,
    /// Empty database of a PostgreSQL server, as `postgres://USER@HOST/NAME` [default: measure SQLite only]
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Number of repetitions of each load; the median is printed
    #[arg(long, default_value = "3", value_name = "N")]
    runs: NonZeroUsize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &IngestArgs) -> Result<(), BenchError> {
    let runtime = Runtime::new().map_err(|source| BenchError::AsyncRuntime { source })?;
    let scratch = scratch_folder(&options.folder)?;
    let baseline: Vec<f64> = (0..options.runs.get())
        .map(|run| {
            sqlite_baseline::frames_per_second(
                &scratch.path().join(format!("alone-{run}.db")),
                options.device_load(1),
            )
        })
        .collect::<Result<_, _>>()?;
    let baseline = median(baseline);
    let mut rows = vec![Measurement::new("SQLite alone, one transaction per message", baseline, "frames/s")];
    let sqlite = format!("sqlite:{}", scratch.path().join("archive.db").display());
    let archives = [("SQLite", Some(sqlite)), ("PostgreSQL", options.postgres.clone())];
    for (name, url) in archives.into_iter().filter_map(|(name, url)| Some((name, url?))) {
        let cloud = CloudDecoder::start(&url, scratch.path())?;
        for devices in &options.devices {
            let rates = (0..options.runs.get())
                .map(|_| {
                    runtime.block_on(measure_rate(&cloud, devices.get(), options.device_load(devices.get())))
                })
                .collect::<Result<_, _>>()?;
            let row = Measurement::new(format!("{name}, {devices} devices"), median(rates), "frames/s");
            rows.push(row.with_ratio("SQLite alone", baseline));
        }
        if options.list > 0 {
            rows.extend(runtime.block_on(lists::measure_lists(
                &cloud,
                name,
                options.list,
                options.together.get(),
            ))?);
        }
    }
    print_rows(&rows, options.json)
}

impl IngestArgs {
    /// Returns the load of each device if the frames are shared by `devices` devices.
    fn device_load(&self, devices: usize) -> DeviceLoad {
        let frames_per_message = self.together.get();
        DeviceLoad {
            messages: (self.frames / devices / frames_per_message).max(1),
            frames_per_message,
            frame_bytes: self.bytes,
        }
    }
}

/// Returns the frames per second that a number of devices send and receive acknowledgements for.
async fn measure_rate(cloud: &CloudDecoder, devices: usize, load: DeviceLoad) -> Result<f64, BenchError> {
    let mut connections = JoinSet::new();
    for number in 0..devices {
        connections.spawn(device::connect_device(cloud.url.clone(), format!("device-{number}")));
    }
    let connected = connections.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let mut uploads = JoinSet::new();
    for device in connected {
        uploads.spawn(device.send(load));
    }
    uploads.join_all().await.into_iter().collect::<Result<(), _>>()?;
    Ok((devices * load.messages * load.frames_per_message) as f64 / start.elapsed().as_secs_f64())
}
