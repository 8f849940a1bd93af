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
    agent::Home,
    bulk::Bulk,
    outage::Outage,
    relay::{Nature, Relay},
};
use crate::{
    BenchError,
    cloud::Cloud,
    error::failed,
    median::median,
    scratch::scratch,
    table::{Row, print},
};

/// Bytes per frame of the backlog.
const FRAME: usize = 10_000;
/// Maximum time to find a backlog again, in milliseconds.
const RECOVERY: f64 = 2000.0;
/// Minimum share of the link's capacity that frames use.
const SHARE: f64 = 0.9;
/// Maximum time until an important frame is acknowledged, in milliseconds.
const IMPORTANT: f64 = 1000.0;
/// Maximum overhead of a small frame, in bytes.
const OVERHEAD: f64 = 10.0;

/// The command-line options of `bench uplink`.
#[derive(Debug, Args)]
pub(crate) struct UplinkOptions {
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

pub(crate) fn run(options: &UplinkOptions) -> Result<(), BenchError> {
    let runtime = Runtime::new().map_err(failed)?;
    let scratch = scratch(&options.folder)?;
    let rows = runtime.block_on(measure(options, scratch.path()))?;
    print(&rows, options.json)
}

impl UplinkOptions {
    fn nature(&self) -> Nature {
        let rate = f64::from(self.kilobits.get()) * 1000.0 / 8.0;
        Nature { rate, delay: Duration::from_millis(self.delay_ms) }
    }

    /// Returns the size of a spool in megabytes: the backlog, and the space that the disk needs in addition.
    fn megabytes(&self) -> u64 {
        self.backlog.get() + self.backlog.get() / 8 + 64
    }
}

async fn measure(options: &UplinkOptions, folder: &Path) -> Result<Vec<Row>, BenchError> {
    let archive = format!("sqlite:{}", folder.join("archive.db").display());
    let cloud = Cloud::start(&archive, folder)?;
    let relay = Relay::to(&cloud.url, options.nature())?;
    let home = |device: &str| Home::new(folder, device, relay.url(), options.megabytes());
    let (mut empty, mut outages, mut bulks) = (Vec::new(), Vec::new(), Vec::new());
    let backlog = home("backlog")?;
    let mut pending = options.backlog.get() * 1_000_000 / FRAME as u64;
    backlog::fill(&backlog, pending, FRAME)?;
    for run in 1..=options.runs.get() {
        empty.push(outage::resident(&home(&format!("empty-{run}"))?, &relay).await?);
        let outage = outage::measure(&backlog, &relay, options, pending).await?;
        pending = outage.pending;
        outages.push(outage);
        bulks.push(bulk::measure(&home(&format!("bulk-{run}"))?, &relay).await?);
    }
    let mut rows = of_outages(&outages);
    rows.extend(of_bulks(&bulks));
    rows.extend(of_memory(&empty, &outages));
    Ok(rows)
}

fn of_outages(outages: &[Outage]) -> Vec<Row> {
    let middle = |figure: fn(&Outage) -> f64| median(outages.iter().map(figure).collect());
    let waits: Vec<f64> = outages.iter().flat_map(|outage| outage.waits.clone()).collect();
    let longest = waits.iter().copied().fold(0.0, f64::max);
    vec![
        Row::new("recovery after a kill", middle(|outage| outage.recovery), "ms").at_most(RECOVERY),
        Row::new("drain: share of the link that frames use", middle(|outage| outage.share), "")
            .at_least(SHARE),
        Row::new(
            "drain: bytes on the wire per byte of a frame",
            middle(|outage| outage.on_the_wire),
            "bytes/byte",
        ),
        Row::new("an image behind the backlog", median(waits), "ms").at_most(IMPORTANT),
        Row::new("an image behind the backlog, longest", longest, "ms").at_most(IMPORTANT),
    ]
}

fn of_bulks(bulks: &[Bulk]) -> Vec<Row> {
    let middle = |figure: fn(&Bulk) -> f64| median(bulks.iter().map(figure).collect());
    let many = format!("{} frames of {} bytes", bulk::FRAMES, bulk::FRAME);
    let alone = format!("a single frame of {} bytes", middle(|bulk| bulk.frame));
    vec![
        Row::new(format!("{many}: overhead per frame"), middle(|bulk| bulk.more), "bytes").at_most(OVERHEAD),
        Row::new(format!("{many}: overhead per frame, to the cloud"), middle(|bulk| bulk.more_up), "bytes"),
        Row::new(format!("{alone}: overhead"), middle(|bulk| bulk.alone), "bytes"),
        Row::new(format!("{alone}: overhead, to the cloud"), middle(|bulk| bulk.alone_up), "bytes"),
    ]
}

fn of_memory(empty: &[f64], outages: &[Outage]) -> Vec<Row> {
    let of = |figure: fn(&Outage) -> f64| median(outages.iter().map(figure).collect()) / 1e6;
    let (empty, found) = (median(empty.to_vec()) / 1e6, of(|outage| outage.resident));
    vec![
        Row::new("memory with an empty spool", empty, "MB"),
        Row::new("memory with the backlog", found, "MB"),
        Row::new("additional memory with the backlog", found - empty, "MB"),
        Row::new("memory while the backlog is sent", of(|outage| outage.sending), "MB"),
    ]
}
