//! The agent: the long-running path between its sources and the cloud.
//!
//! ```text
//! source (a thread each) ─► inputs ─► encoder (a thread) ─► store (a thread, the spool) ─► uplink ═► cloud
//!   rate cap, scene gate     bounded    quality, layers        group commits                 │
//!         ▲                                    ▲                     │                       │
//!         └── a file is done ◄─────────────────┼─── on the disk ◄────┘                       │
//!                                              ├────────────── backlog, rate of the link ◄───┘
//!                                              └── update (a task): another bundle ◄═ its channel
//! ```
//! Each stage waits for the next one; inputs of a source that cannot wait are dropped at the source and
//! counted.
//!
//! # Invariants
//! - A frame counts as stored only when it is on the disk, and leaves the store only when the cloud has
//!   acknowledged it.
//! - A file of a watched folder is done when all of its frames are on the disk; until then it stays in the
//!   folder. The store records which inputs of which file it has, so a file that was stored but not marked as
//!   done is not encoded again.
//! - Every dropped input or frame is counted: at a source (too fast, unchanged, damaged) since the start, in
//!   the store permanently.
//! - A stage that hangs is noticed: the watchdog asks every stage, and a source that should deliver and is silent is
//!   started again, counted and reported, also to the cloud.
//! - A stop loses nothing: sources end, captured inputs are encoded and stored, and the remaining frames are
//!   sent after the next start.
//! - An agent does not touch the files of another one: it looks for an answer at its status socket, and opens
//!   its spool under a lock, before it changes anything.

mod counters;
mod encode;
mod encoders;
mod file_appends;
mod files;
mod filters;
mod guard;
mod image_notes;
mod input;
mod liveness;
mod machine;
#[cfg(feature = "otlp")]
mod metrics;
mod notify;
mod oversized;
mod rate_control;
mod reduction;
mod retries;
mod row_report;
mod settings;
mod source_liveness;
mod source_opener;
mod source_reports;
mod source_state;
mod sources;
mod status;
mod tables;
mod tails;
mod update;

use std::{path::Path, sync::Arc, thread, time::Instant};

use crate::connection::{CloudTarget, WireCounters};
use lopside_capture::StopHandle;
use lopside_encoder::AnyEncoder;
use lopside_spool::{DeviceName, Disk, MachineId, SpoolError};
use lopside_uplink::{Store, StoreSettings, StoredItems, Uplink, UplinkError, UplinkSettings};
use tokio::sync::mpsc;

use self::{
    counters::AgentCounters,
    encode::EncodingThread,
    encoders::ActiveEncoders,
    liveness::AgentLiveness,
    update::{InitialEncoder, PollTarget},
};
pub(crate) use self::{
    machine::read_machine_id,
    oversized::fit_for_cloud,
    reduction::reduction_warning,
    settings::{FilterSettings, FolderSettings, SourceKind, TailSettings},
    source_opener::AcceptedFiles,
    update::BundleClient,
};
pub use self::{
    rate_control::RateBounds,
    row_report::RowReport,
    settings::{
        AgentSettings, ImageSettings, OversizedImages, SourceSettings, SpoolSettings, UpdateSettings,
        UplinkTimeouts,
    },
    status::{
        AgentReport, ClassReport, SourceReport, SpoolReport, StatusSource, UplinkReport, request_status,
    },
    update::UpdateReport,
};
use crate::EdgeError;

/// Capacity of the encoder's input queue.
const INPUT_QUEUE: usize = 2;

/// Runs until `stop` completes, and then until all captured inputs are stored. `encoder` is the configured
/// one; with an update channel, another encoder may be used.
///
/// # Errors
/// [`EdgeError`] if the agent cannot start; later failures are logged and reported by [`StatusSource`].
pub async fn run(
    encoder: AnyEncoder,
    settings: AgentSettings,
    stop: impl Future<Output = ()>,
) -> Result<(), EdgeError> {
    if let Some(socket) = &settings.socket {
        status::check_unused(socket)?;
    }
    let (store, items, store_thread) = start_store(&settings)?;
    let target = CloudTarget::new(&settings.endpoint, &settings.security)?;
    target.warn_about_exposed_key();
    let InitialEncoder { encoder, probation, updates } = update::begin(settings.update.clone(), encoder)?;
    let counters = Arc::new(AgentCounters::new(&settings, &encoder));
    let liveness = AgentLiveness::new(&counters);
    let uplink = Uplink::new(store.clone(), uplink_settings(&settings, &target));
    let uplink = Arc::new(uplink.with_sources(liveness.statuses()));
    #[cfg(feature = "otlp")]
    metrics::register(&counters);
    let status = StatusSource {
        counters: Arc::clone(&counters),
        store: store.state(),
        link: uplink.link(),
        updates: updates.as_ref().map(update::PendingUpdates::updates),
        started_at: Instant::now(),
    };
    let server =
        settings.socket.as_deref().map(|socket| status::serve(socket, status.clone())).transpose()?;
    let (inputs, queue) = mpsc::channel(INPUT_QUEUE);
    let stopper = StopHandle::new()?;
    let sources = sources::start(&settings, &encoder, &stopper, &inputs, &counters, items)?;
    let (encoded_files, file_task) = files::start(store.state(), inputs.downgrade(), stopper.clone());
    let (appended_windows, tail_task) = tails::start();
    drop(inputs);
    let (device, response_timeout) = (settings.device.clone(), settings.uplink.ack_timeout);
    let (swaps, update_task) =
        update::start(updates, PollTarget { target: target.clone(), device, response_timeout });
    let encoding = EncodingThread {
        encoders: ActiveEncoders::new(encoder, probation, Arc::clone(&counters)),
        store: store.clone(),
        link: uplink.link(),
        encoded_files,
        appended_windows,
        counters,
        bounds: settings.bounds,
        images: settings.images,
    };
    let encoder_thread = encode::start(encoding, queue, swaps)?;
    let uplink_task = tokio::spawn(run_uplink(Arc::clone(&uplink), target));
    let liveness_task = tokio::spawn(liveness.clone().watch());
    let watchdog = notify::ready(&store, liveness);
    tokio::select! {
        () = stop => tracing::info!("stopping; captured inputs are stored first"),
        () = sources.wait_ended() => tracing::info!("all sources have ended"),
    }
    notify::stopping();
    stopper.stop();
    join_thread(encoder_thread).await;
    store.flush().await?;
    let _ = file_task.await;
    let _ = tail_task.await;
    let tasks = [Some(uplink_task), server, Some(liveness_task), watchdog, update_task];
    for task in tasks.into_iter().flatten() {
        task.abort();
        let _ = task.await;
    }
    drop((store, uplink, status));
    join_thread(store_thread).await;
    Ok(())
}

/// Opens the spool. Returns its store, the inputs of files that it has, and the thread that owns it.
fn start_store(settings: &AgentSettings) -> Result<(Store, StoredItems, thread::JoinHandle<()>), EdgeError> {
    let SpoolSettings { folder, budget_bytes, keep_delivered_bytes, policies, commit_delay, machine_id_file } =
        settings.spool.clone();
    let (machine, device) = (find_machine(&machine_id_file), DeviceName::parse(&settings.device));
    let options =
        StoreSettings { budget_bytes, keep_delivered_bytes, policies, commit_delay, machine, device };
    Ok(Store::start(move || open_disk(&folder), options)?)
}

fn open_disk(folder: &Path) -> Result<Disk, SpoolError> {
    Disk::open(folder).map_err(SpoolError::disk_error("open its folder", folder.to_owned()))
}

/// Returns the id of this machine, or `None` if it is unknown.
fn find_machine(path: &Path) -> Option<MachineId> {
    let machine = read_machine_id(path);
    if let Err(error) = &machine {
        tracing::warn!(%error, "this machine has no id; copies of its spool cannot be told apart");
    }
    machine.ok()
}

fn uplink_settings(settings: &AgentSettings, target: &CloudTarget) -> UplinkSettings {
    UplinkSettings {
        device: settings.device.clone(),
        bearer: target.bearer(),
        ack_timeout: settings.uplink.ack_timeout,
        max_pause: settings.uplink.max_pause,
    }
}

async fn run_uplink(uplink: Arc<Uplink>, target: CloudTarget) {
    let counters = WireCounters::default();
    uplink
        .run(|| async {
            let channel = target.connect(&counters, None).await;
            channel.map_err(|error| UplinkError::Connect(error.to_string()))
        })
        .await;
}

async fn join_thread(thread: thread::JoinHandle<()>) {
    // The message of a panic is already on stderr.
    let _ = tokio::task::spawn_blocking(|| thread.join()).await;
}
