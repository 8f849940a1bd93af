//! `bench uplink`: the real agent and the real server over a slow link.
//!
//! ```text
//! edge-encoder run ─► relay: bottleneck, delay ─► cloud-decoder serve --archive
//!    a backlog          (in this process)
//! ```
//! | figure | measurement |
//! |---|---|
//! | recovery | the time between the start of the process, after a kill, and the status report that counts all pending frames |
//! | drain | bytes of frames acknowledged in a window after a warm-up, as a share of the link's capacity |
//! | an image behind the backlog | the link is cut, the image's frame is stored as `high`, and the link is restored: the time between the first byte of the new connection and the acknowledgement, as the status reports it |
//! | small frames | the overhead in bytes on the wire of 20,000 frames of 25 bytes, including the connection's setup; and that of a single frame on an open, idle connection |
//! | memory | resident memory without a link, two seconds after the frames were found |
//!
//! Recovery, drain and images are measured in turns, run after run, on one backlog that becomes shorter; the
//! figures are medians. The [`wire`](mod@wire) module defines the bytes on the wire, the [`relay`](mod@relay)
//! module the link. A missed limit is printed as missed, but does not fail the bench.

mod agent;
mod backlog;
mod bulk;
mod outage;
mod relay;
mod wire;

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio::runtime::Runtime;

use self::{
    agent::AgentHome,
    bulk::BulkFigures,
    outage::OutageFigures,
    relay::{LinkProperties, Relay},
};
use crate::{
    BenchError,
    cloud::CloudDecoder,
    median::{median, median_of},
    scratch::scratch_folder,
    table::{Measurement, print_rows},
};

/// Bytes per frame of the backlog.
const BACKLOG_FRAME_BYTES: usize = 10_000;
/// Maximum time to find a backlog again, in milliseconds.
const MAX_RECOVERY_MS: f64 = 2000.0;
/// Minimum share of the link's capacity that frames use.
const MIN_LINK_SHARE: f64 = 0.9;
/// Maximum time until an important frame is acknowledged, in milliseconds.
const MAX_IMPORTANT_MS: f64 = 1000.0;
/// Maximum overhead of a small frame, in bytes.
const MAX_OVERHEAD_BYTES: f64 = 10.0;

/// The command-line options of `bench uplink`.
#[derive(Debug, Args)]
pub(crate) struct UplinkArgs {
    /// Folder on a disk, for the spools and the archive
    #[arg(long, default_value = "out/uplink", value_name = "DIR")]
    folder: PathBuf,
    /// Size of the backlog in megabytes
    #[arg(long, default_value = "1074", value_name = "MB")]
    backlog: NonZeroU64,
    /// Capacity of the link in kilobits per second, per direction
    #[arg(long, default_value = "1000", value_name = "N")]
    kilobits: NonZeroU32,
    /// One-way delay of the link in milliseconds
    #[arg(long, default_value = "25", value_name = "MS")]
    delay_ms: u64,
    /// Seconds for which the drain is measured
    #[arg(long, default_value = "60", value_name = "N")]
    seconds: NonZeroU32,
    /// Number of repetitions of each measurement; the median is printed
    #[arg(long, default_value = "3", value_name = "N")]
    runs: NonZeroUsize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &UplinkArgs) -> Result<(), BenchError> {
    let runtime = Runtime::new().map_err(|source| BenchError::AsyncRuntime { source })?;
    let scratch = scratch_folder(&options.folder)?;
    let rows = runtime.block_on(measure_uplink(options, scratch.path()))?;
    print_rows(&rows, options.json)
}

impl UplinkArgs {
    fn link_properties(&self) -> LinkProperties {
        let rate = f64::from(self.kilobits.get()) * 1000.0 / 8.0;
        LinkProperties { rate, delay: Duration::from_millis(self.delay_ms) }
    }

    /// Returns the size of a spool in megabytes: the backlog, and the space that the disk needs in addition.
    fn spool_megabytes(&self) -> u64 {
        self.backlog.get() + self.backlog.get() / 8 + 64
    }

    /// Creates the folder of a device whose agent connects through the relay.
    fn create_home(&self, folder: &Path, device: &str, relay: &Relay) -> Result<AgentHome, BenchError> {
        AgentHome::new(folder, device, relay.url(), self.spool_megabytes())
    }
}

async fn measure_uplink(options: &UplinkArgs, folder: &Path) -> Result<Vec<Measurement>, BenchError> {
    let archive = format!("sqlite:{}", folder.join("archive.db").display());
    let cloud = CloudDecoder::start(&archive, folder)?;
    let relay = Relay::new(&cloud.url, options.link_properties())?;
    let (mut empty_spool_memory, mut outages, mut bulks) = (Vec::new(), Vec::new(), Vec::new());
    let backlog = options.create_home(folder, "backlog", &relay)?;
    let mut pending = options.backlog.get() * 1_000_000 / BACKLOG_FRAME_BYTES as u64;
    backlog::fill_spool(&backlog, pending, BACKLOG_FRAME_BYTES)?;
    for run in 1..=options.runs.get() {
        let home = options.create_home(folder, &format!("empty-{run}"), &relay)?;
        empty_spool_memory.push(outage::idle_resident_bytes(&home, &relay).await?);
        let outage = outage::measure_outage(&backlog, &relay, options, pending).await?;
        pending = outage.pending;
        outages.push(outage);
        let home = options.create_home(folder, &format!("bulk-{run}"), &relay)?;
        bulks.push(bulk::measure_bulk(&home, &relay).await?);
    }
    let mut rows = outage_rows(&outages);
    rows.extend(bulk_rows(&bulks));
    rows.extend(memory_rows(&empty_spool_memory, &outages));
    Ok(rows)
}

fn outage_rows(outages: &[OutageFigures]) -> Vec<Measurement> {
    let latencies: Vec<f64> = outages.iter().flat_map(|outage| outage.image_latencies_ms.clone()).collect();
    let longest = latencies.iter().copied().fold(0.0, f64::max);
    vec![
        Measurement::new("recovery after a kill", median_of(outages, |outage| outage.recovery_ms), "ms")
            .at_most(MAX_RECOVERY_MS),
        Measurement::new(
            "drain: share of the link that frames use",
            median_of(outages, |outage| outage.link_share),
            "",
        )
        .at_least(MIN_LINK_SHARE),
        Measurement::new(
            "drain: bytes on the wire per byte of a frame",
            median_of(outages, |outage| outage.wire_bytes_per_byte),
            "bytes/byte",
        ),
        Measurement::new("an image behind the backlog", median(latencies), "ms").at_most(MAX_IMPORTANT_MS),
        Measurement::new("an image behind the backlog, longest", longest, "ms").at_most(MAX_IMPORTANT_MS),
    ]
}

fn bulk_rows(bulks: &[BulkFigures]) -> Vec<Measurement> {
    let small_frames = format!("{} frames of {} bytes", bulk::SMALL_FRAMES, bulk::SMALL_FRAME_BYTES);
    let single_frame =
        format!("a single frame of {} bytes", median_of(bulks, |bulk| bulk.single_frame_bytes));
    vec![
        Measurement::new(
            format!("{small_frames}: overhead per frame"),
            median_of(bulks, |bulk| bulk.overhead),
            "bytes",
        )
        .at_most(MAX_OVERHEAD_BYTES),
        Measurement::new(
            format!("{small_frames}: overhead per frame, to the cloud"),
            median_of(bulks, |bulk| bulk.overhead_up),
            "bytes",
        ),
        Measurement::new(
            format!("{single_frame}: overhead"),
            median_of(bulks, |bulk| bulk.single_overhead),
            "bytes",
        ),
        Measurement::new(
            format!("{single_frame}: overhead, to the cloud"),
            median_of(bulks, |bulk| bulk.single_overhead_up),
            "bytes",
        ),
    ]
}

fn memory_rows(with_empty_spool: &[f64], outages: &[OutageFigures]) -> Vec<Measurement> {
    let (with_empty_spool, with_backlog) =
        (median(with_empty_spool.to_vec()) / 1e6, median_of(outages, |outage| outage.resident_bytes) / 1e6);
    let sending = median_of(outages, |outage| outage.sending_bytes) / 1e6;
    vec![
        Measurement::new("memory with an empty spool", with_empty_spool, "MB"),
        Measurement::new("memory with the backlog", with_backlog, "MB"),
        Measurement::new("additional memory with the backlog", with_backlog - with_empty_spool, "MB"),
        Measurement::new("memory while the backlog is sent", sending, "MB"),
    ]
}
