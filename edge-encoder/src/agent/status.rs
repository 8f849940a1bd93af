//! The agent's status, served as JSON over a Unix socket: one object per connection.

use std::{
    io::{self, Read as _},
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::Path,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lopside_delivery::Class;
use lopside_spool::{Counters, DropReason};
use lopside_telemetry::printable::PrintableLines;
use lopside_uplink::{LinkState, StoreSnapshot};
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncWriteExt as _, net::UnixListener, sync::watch, task::JoinHandle};

use super::{
    counters::AgentCounters,
    source_state::SourceState,
    update::{UpdateReport, UpdateStatus},
};
use crate::{EdgeError, SettingsError, error::io_error};

/// Time limit for the transfer of a status report.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest report, in bytes.
const MAX_REPORT_BYTES: u64 = 1 << 20;

/// The sources of a status report.
#[derive(Debug, Clone)]
pub struct StatusSource {
    pub(super) counters: Arc<AgentCounters>,
    pub(super) store: watch::Receiver<StoreSnapshot>,
    pub(super) link: watch::Receiver<LinkState>,
    pub(super) updates: Option<UpdateStatus>,
    pub(super) started_at: Instant,
}

/// A status report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentReport {
    /// The device's name.
    pub device: String,
    /// The version of the agent.
    pub version: String,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// The name of the bundle.
    pub bundle: Option<String>,
    /// The identifier of the latent space.
    pub latent_space: Option<String>,
    /// The quality of the last frame, 1 to 100; `null` without that setting.
    pub quality: Option<u64>,
    /// Maximum number of layers of the last frame.
    pub layers: u64,
    /// The connection to the cloud.
    pub uplink: UplinkReport,
    /// Updates over the air; `null` without a channel.
    #[serde(default)]
    pub update: Option<UpdateReport>,
    /// The spool.
    pub spool: SpoolReport,
    /// The sources.
    pub sources: Vec<SourceReport>,
}

/// The connection to the cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UplinkReport {
    /// Address of the cloud-decoder.
    pub endpoint: String,
    /// Whether the agent is connected.
    pub connected: bool,
    /// Seconds since the connection was established; `null` while disconnected.
    pub connected_seconds: Option<f64>,
    /// Number of connections since the start.
    pub connections: u64,
    /// Reason why the last connection ended or could not be made; `null` while connected and before the first
    /// failure.
    pub last_error: Option<String>,
    /// Seconds since the last acknowledgement; `null` before the first one.
    pub acknowledged_seconds: Option<f64>,
    /// The highest recent acknowledgement rate, in bytes per second; 0 while disconnected.
    pub bytes_per_second: f64,
    /// The shortest recent time between a message and its acknowledgement, in milliseconds; `null` before the
    /// first one.
    pub round_trip_ms: Option<f64>,
}

/// The state of the spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpoolReport {
    /// Size of all files, in bytes.
    pub bytes: u64,
    /// Budget of the files, in bytes.
    pub budget: u64,
    /// Reason why the disk currently accepts no writes; `null` if it does.
    pub failure: Option<String>,
    /// Bytes of the files whose frames are all delivered, included in `bytes`. They are removed when space is
    /// needed.
    #[serde(default)]
    pub kept_bytes: u64,
    /// Number of times that the spool took a new name, because it was copied or set back to an earlier state.
    #[serde(default)]
    pub renamed: u64,
    /// Number of log ends that were torn by crashes.
    pub torn: u64,
    /// Bytes of damaged data, kept for inspection in the spool's folder as `damaged-…`.
    pub damaged_bytes: u64,
    /// Counters per class, in ascending order of importance.
    pub classes: Vec<ClassReport>,
}

/// Counters of a class's frames: `produced = delivered + evicted + refused + damaged + in_doubt + pending`. `lost` is
/// a part of `delivered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassReport {
    /// The name of the class: `low`, `normal` or `high`.
    pub class: String,
    /// Number of frames that were to be stored.
    pub produced: u64,
    /// Number of frames that the cloud acknowledged and that are not pending again.
    pub delivered: u64,
    /// Number of delivered frames that the archive has lost since, because it was set back to an earlier state,
    /// and of which the spool had no copy any more. It may include frames that the spool had dropped itself.
    #[serde(default)]
    pub lost: u64,
    /// Number of frames that wait in the spool.
    pub pending: u64,
    /// Number of frames that were dropped in favour of more important ones.
    pub evicted: u64,
    /// Number of frames that were dropped, because the spool was full or the frame too large. Files for which there
    /// is no space are not among them: they [wait](SourceReport::waiting).
    pub refused: u64,
    /// Number of frames that were lost through damage on the disk.
    pub damaged: u64,
    /// Number of frames that were sent, and evicted before the cloud acknowledged them; resolved on the next
    /// connection.
    pub in_doubt: u64,
}

/// Counters of a source since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The name of the source.
    pub name: String,
    /// Number of inputs captured.
    pub captured: u64,
    /// Number of frames encoded.
    pub encoded: u64,
    /// Size of these frames, in bytes.
    pub bytes: u64,
    /// Number of inputs that the rate cap dropped.
    pub too_fast: u64,
    /// Number of images that the scene gate dropped.
    pub unchanged: u64,
    /// Number of damaged inputs.
    pub damaged: u64,
    /// Number of inputs that could not be read or encoded, and of files with a frame that is too large.
    pub failed: u64,
    /// Number of files that wait until the spool has space for their frames.
    #[serde(default)]
    pub waiting: u64,
    /// The most recent problem; `null` if there was none.
    pub last_error: Option<String>,
}

impl StatusSource {
    /// Returns the current status.
    #[must_use]
    pub fn report(&self) -> AgentReport {
        let [bundle, latent_space] = self.counters.bundle().map(Some);
        let quality = Some(self.counters.quality.load(Ordering::Relaxed)).filter(|quality| *quality > 0);
        AgentReport {
            device: self.counters.device.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started_at.elapsed().as_secs_f64(),
            bundle,
            latent_space,
            quality,
            layers: self.counters.layers.load(Ordering::Relaxed),
            uplink: self.uplink_report(),
            update: self.updates.as_ref().map(UpdateStatus::report),
            spool: self.spool_report(),
            sources: self.counters.sources.iter().map(|source| source.source_report()).collect(),
        }
    }

    fn uplink_report(&self) -> UplinkReport {
        let link = self.link.borrow();
        UplinkReport {
            endpoint: self.counters.endpoint.clone(),
            connected: link.connected_at.is_some(),
            connected_seconds: link.connected_at.map(seconds_since),
            connections: link.connection_count,
            last_error: link.last_error.clone(),
            acknowledged_seconds: link.last_acknowledged_at.map(seconds_since),
            bytes_per_second: link.bytes_per_second,
            round_trip_ms: link.round_trip.map(|round_trip| 1e3 * round_trip.as_secs_f64()),
        }
    }

    fn spool_report(&self) -> SpoolReport {
        let state = self.store.borrow();
        let classes = Class::ALL.into_iter().zip(&state.classes);
        SpoolReport {
            bytes: state.size_bytes,
            budget: self.counters.budget_bytes,
            failure: state.failure.clone(),
            kept_bytes: state.kept_bytes,
            renamed: state.times_renamed,
            torn: state.torn_logs,
            damaged_bytes: state.damaged_bytes,
            classes: classes
                .map(|(class, (counters, pending))| ClassReport::new(class, counters, *pending))
                .collect(),
        }
    }
}

impl ClassReport {
    fn new(class: Class, counters: &Counters, pending: u64) -> Self {
        let [evicted, refused, damaged] = [DropReason::Evicted, DropReason::Refused, DropReason::Damaged]
            .map(|reason| counters.dropped(reason));
        let (delivered, in_doubt) = (counters.delivered, counters.in_doubt_count());
        Self {
            class: class.name().to_owned(),
            produced: delivered + evicted + refused + damaged + in_doubt + pending,
            delivered,
            lost: counters.lost,
            pending,
            evicted,
            refused,
            damaged,
            in_doubt,
        }
    }

    fn write_text(&self, out: &mut PrintableLines) -> std::fmt::Result {
        let Self { class, produced, delivered, pending, in_doubt, .. } = self;
        let dropped = self.evicted + self.refused + self.damaged;
        writeln!(
            out,
            "  {class:6} produced {produced}, delivered {delivered}, waiting {pending}, dropped {dropped}, in doubt {in_doubt}"
        )?;
        if self.lost > 0 {
            writeln!(out, "         of the delivered frames, the archive has lost {}", self.lost)?;
        }
        Ok(())
    }
}

impl SourceState {
    fn source_report(&self) -> SourceReport {
        let counts = self.counters.input_counts();
        SourceReport {
            name: self.name.clone(),
            captured: counts.captured,
            encoded: read_count(&self.counters.encoded),
            bytes: read_count(&self.counters.bytes),
            too_fast: read_count(&self.counters.too_fast),
            unchanged: read_count(&self.counters.unchanged),
            damaged: counts.damaged,
            failed: read_count(&self.counters.failed),
            waiting: read_count(&self.counters.waiting),
            last_error: self.counters.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Checks that no agent answers at this path.
///
/// # Errors
/// [`SettingsError::Invalid`] if one does.
pub(super) fn check_unused(path: &Path) -> Result<(), EdgeError> {
    if UnixStream::connect(path).is_err() {
        return Ok(());
    }
    let reason = format!("another agent answers at {}: stop it, or configure another socket", path.display());
    Err(SettingsError::Invalid(reason).into())
}

/// Serves the status at this path for as long as the task runs.
pub(super) fn serve(path: &Path, status: StatusSource) -> Result<JoinHandle<()>, EdgeError> {
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        check_unused(path)?;
        // An agent that was killed leaves its socket behind.
        std::fs::remove_file(path).map_err(io_error(path))?;
    }
    let listener = UnixListener::bind(path).map_err(io_error(path))?;
    Ok(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Ok(text) = serde_json::to_vec(&status.report()) else { continue };
            // A client that does not read in time gets no report.
            let _ = tokio::time::timeout(STATUS_TIMEOUT, stream.write_all(&text)).await;
        }
    }))
}

/// Requests the status of the agent that listens at this path.
///
/// # Errors
/// [`EdgeError::AgentUnreachable`] if no agent listens there, [`EdgeError::Json`] if the answer is not a report.
pub fn request_status(path: &Path) -> Result<AgentReport, EdgeError> {
    let stream = UnixStream::connect(path).map_err(agent_unreachable(path))?;
    stream.set_read_timeout(Some(STATUS_TIMEOUT)).map_err(agent_unreachable(path))?;
    let mut text = String::new();
    stream.take(MAX_REPORT_BYTES).read_to_string(&mut text).map_err(agent_unreachable(path))?;
    Ok(serde_json::from_str(&text)?)
}

impl AgentReport {
    /// Returns a copy without the values that change with time alone.
    #[must_use]
    pub fn without_times(&self) -> Self {
        let uplink = UplinkReport {
            connected_seconds: None,
            acknowledged_seconds: None,
            bytes_per_second: 0.0,
            round_trip_ms: None,
            ..self.uplink.clone()
        };
        let update = self.update.as_ref().map(UpdateReport::without_times);
        Self { uptime_seconds: 0.0, uplink, update, ..self.clone() }
    }

    /// Formats the report for people, without characters that a terminal would obey.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = PrintableLines::default();
        // Writing to memory cannot fail.
        let _ = self.write_text(&mut text);
        text.into_text()
    }

    fn write_text(&self, out: &mut PrintableLines) -> std::fmt::Result {
        let Self { uplink, spool, .. } = self;
        let [bundle, space] = [&self.bundle, &self.latent_space].map(|name| name.as_deref().unwrap_or("-"));
        writeln!(out, "{}, up {:.0} s, bundle {bundle} ({space})", self.device, self.uptime_seconds)?;
        match (uplink.connected_seconds, &uplink.last_error) {
            (Some(seconds), _) => {
                writeln!(out, "uplink: connected to {} for {seconds:.0} s", uplink.endpoint)?;
            }
            (None, Some(error)) => writeln!(out, "uplink: not connected to {}: {error}", uplink.endpoint)?,
            (None, None) => writeln!(out, "uplink: connecting to {}", uplink.endpoint)?,
        }
        if let Some(update) = &self.update {
            update.write_text(out)?;
        }
        let [used_mb, budget_mb, kept_mb] =
            [spool.bytes, spool.budget, spool.kept_bytes].map(|bytes| bytes as f64 / 1e6);
        writeln!(out, "spool: {used_mb:.1} of {budget_mb:.0} MB, {kept_mb:.1} MB of it delivered frames")?;
        if let Some(failure) = &spool.failure {
            writeln!(out, "spool: FAILED: {failure}")?;
        }
        if spool.renamed > 0 {
            writeln!(out, "spool: copied or set back {} times; each time it took a new name", spool.renamed)?;
        }
        if spool.damaged_bytes > 0 {
            writeln!(
                out,
                "spool: {} bytes of damaged data are kept as damaged-… in its folder",
                spool.damaged_bytes
            )?;
        }
        for class in spool.classes.iter().rev() {
            class.write_text(out)?;
        }
        for source in &self.sources {
            let SourceReport { name, captured, encoded, bytes, .. } = source;
            writeln!(out, "source {name}: captured {captured}, encoded {encoded} ({bytes} bytes)")?;
            let counts = [
                ("over the rate limit", source.too_fast),
                ("unchanged", source.unchanged),
                ("damaged", source.damaged),
                ("failed", source.failed),
                ("waiting for space in the spool", source.waiting),
            ];
            for (label, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
                writeln!(out, "  {label}: {count}")?;
            }
            if let Some(error) = &source.last_error {
                writeln!(out, "  last error: {error}")?;
            }
        }
        Ok(())
    }
}

/// Returns a function that turns an error at the socket `path` into an [`EdgeError::AgentUnreachable`].
fn agent_unreachable(path: &Path) -> impl Fn(io::Error) -> EdgeError {
    move |source| EdgeError::AgentUnreachable { path: path.to_owned(), source }
}

fn seconds_since(at: tokio::time::Instant) -> f64 {
    at.elapsed().as_secs_f64()
}

fn read_count(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
