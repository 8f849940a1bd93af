//! What the agent says of itself, as JSON over a Unix socket: one object for each connection.

use std::{
    fmt::Write as _,
    io::Read as _,
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::Path,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use lopside_spool::{Class, Reason};
use lopside_uplink::{Link, Snapshot};
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncWriteExt as _, net::UnixListener, sync::watch, task::JoinHandle};

use super::{
    tally::Tally,
    update::{UpdateReport, Updates},
};
use crate::{EdgeError, error::io};

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Where what is told comes from.
#[derive(Debug, Clone)]
pub struct Status {
    pub(super) tally: Arc<Tally>,
    pub(super) store: watch::Receiver<Snapshot>,
    pub(super) link: watch::Receiver<Link>,
    pub(super) updates: Option<Updates>,
    pub(super) since: Instant,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The device's name.
    pub device: String,
    /// Of this program.
    pub version: String,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// The bundle's name.
    pub bundle: Option<String>,
    /// Its latent space.
    pub latent_space: Option<String>,
    /// How finely the last input was encoded, where there is such a choice.
    pub quality: Option<u64>,
    /// How many layers its frame has at most.
    pub layers: u64,
    /// The connection to the cloud.
    pub uplink: UplinkReport,
    /// What comes over the air, where there is a channel.
    #[serde(default)]
    pub update: Option<UpdateReport>,
    /// What is on the disk.
    pub spool: SpoolReport,
    /// Where inputs come from.
    pub sources: Vec<SourceReport>,
}

/// The connection to the cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UplinkReport {
    /// The cloud-decoder's address.
    pub endpoint: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// Since when, in seconds.
    pub connected_seconds: Option<f64>,
    /// Connections since the start.
    pub connections: u64,
    /// Why there is none.
    pub last_error: Option<String>,
    /// Seconds since the last acknowledgement.
    pub acknowledged_seconds: Option<f64>,
    /// Bytes a second that were acknowledged lately, at best.
    pub bytes_per_second: f64,
    /// The shortest time lately from a message to its acknowledgement, in milliseconds.
    pub round_trip_ms: Option<f64>,
}

/// What is on the disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpoolReport {
    /// Bytes of all files.
    pub bytes: u64,
    /// What they may have.
    pub budget: u64,
    /// Why the disk takes nothing at the moment.
    pub failure: Option<String>,
    /// Ends of logs that crashes had torn.
    pub torn: u64,
    /// Bytes of damage, kept in the spool's folder as `damaged-…` for a look.
    pub damaged_bytes: u64,
    /// By class, the least important first.
    pub classes: Vec<ClassReport>,
}

/// What has become of a class's frames: `produced = delivered + evicted + refused + damaged + in_doubt + pending`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassReport {
    /// Its name.
    pub class: String,
    /// Frames that were to be stored.
    pub produced: u64,
    /// Acknowledged by the cloud.
    pub delivered: u64,
    /// Waiting.
    pub pending: u64,
    /// Dropped to make room for more important ones.
    pub evicted: u64,
    /// Dropped for want of room.
    pub refused: u64,
    /// Lost by the disk.
    pub damaged: u64,
    /// Sent, and given up before the cloud said whether it has them; it says so when it is there again.
    pub in_doubt: u64,
}

/// What has gone through a source since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// Inputs captured.
    pub captured: u64,
    /// Frames made.
    pub encoded: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Inputs that came faster than they may.
    pub too_fast: u64,
    /// Pictures that showed nothing new.
    pub unchanged: u64,
    /// Inputs that were damaged.
    pub damaged: u64,
    /// Inputs that could not be read or encoded.
    pub failed: u64,
    /// What was in the way last.
    pub last_error: Option<String>,
}

impl Status {
    /// All of it, now.
    #[must_use]
    pub fn report(&self) -> Report {
        let [bundle, latent_space] = self.tally.bundle().map(Some);
        let quality = Some(self.tally.quality.load(Ordering::Relaxed)).filter(|quality| *quality > 0);
        Report {
            device: self.tally.device.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.since.elapsed().as_secs_f64(),
            bundle,
            latent_space,
            quality,
            layers: self.tally.layers.load(Ordering::Relaxed),
            uplink: self.uplink(),
            update: self.updates.as_ref().map(Updates::report),
            spool: self.spool(),
            sources: self.tally.sources.iter().map(|source| source.report()).collect(),
        }
    }

    fn uplink(&self) -> UplinkReport {
        let link = self.link.borrow();
        let seconds = |at: tokio::time::Instant| at.elapsed().as_secs_f64();
        UplinkReport {
            endpoint: self.tally.endpoint.clone(),
            connected: link.connected.is_some(),
            connected_seconds: link.connected.map(seconds),
            connections: link.connections,
            last_error: link.last_error.clone(),
            acknowledged_seconds: link.acknowledged.map(seconds),
            bytes_per_second: link.rate,
            round_trip_ms: link.round_trip.map(|time| 1e3 * time.as_secs_f64()),
        }
    }

    fn spool(&self) -> SpoolReport {
        let state = self.store.borrow();
        let class = |(class, (counters, pending)): (Class, &(lopside_spool::Counters, u64))| {
            let [evicted, refused, damaged] =
                [Reason::Evicted, Reason::Refused, Reason::Damaged].map(|reason| counters.dropped(reason));
            let (delivered, in_doubt) = (counters.delivered, counters.doubtful());
            ClassReport {
                class: class.name().to_owned(),
                produced: delivered + evicted + refused + damaged + in_doubt + pending,
                delivered,
                pending: *pending,
                evicted,
                refused,
                damaged,
                in_doubt,
            }
        };
        SpoolReport {
            bytes: state.bytes,
            budget: self.tally.budget,
            failure: state.failure.clone(),
            torn: state.torn,
            damaged_bytes: state.aside,
            classes: Class::ALL.into_iter().zip(&state.classes).map(class).collect(),
        }
    }
}

impl super::input::SourceOf {
    fn report(&self) -> SourceReport {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let counted = self.tally.counted();
        SourceReport {
            name: self.name.clone(),
            captured: counted.captured,
            encoded: read(&self.tally.encoded),
            bytes: read(&self.tally.bytes),
            too_fast: read(&self.tally.too_fast),
            unchanged: read(&self.tally.unchanged),
            damaged: counted.damaged,
            failed: read(&self.tally.failed),
            last_error: self.tally.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Answers at this path for as long as the task lives.
pub(super) fn serve(path: &Path, status: Status) -> Result<JoinHandle<()>, EdgeError> {
    if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            let told =
                format!("another agent answers at {}: stop it, or give another socket", path.display());
            return Err(EdgeError::Agent(told));
        }
        // One that was killed has left it.
        std::fs::remove_file(path).map_err(io(path))?;
    }
    let listener = UnixListener::bind(path).map_err(io(path))?;
    Ok(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Ok(text) = serde_json::to_vec(&status.report()) else { continue };
            // Whoever does not read it goes without.
            let _ = tokio::time::timeout(PATIENCE, stream.write_all(&text)).await;
        }
    }))
}

/// Asks the agent that answers at this path.
///
/// # Errors
/// [`EdgeError::NoAgent`] when none does, [`EdgeError::Json`] when something else does.
pub fn ask(path: &Path) -> Result<Report, EdgeError> {
    let nobody = |source| EdgeError::NoAgent { path: path.to_owned(), source };
    let stream = UnixStream::connect(path).map_err(nobody)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(nobody)?;
    let mut text = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut text).map_err(nobody)?;
    Ok(serde_json::from_str(&text)?)
}

impl Report {
    /// What does not change by time alone.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let uplink = UplinkReport {
            connected_seconds: None,
            acknowledged_seconds: None,
            bytes_per_second: 0.0,
            round_trip_ms: None,
            ..self.uplink.clone()
        };
        let update = self.update.as_ref().map(UpdateReport::lasting);
        Self { uptime_seconds: 0.0, uplink, update, ..self.clone() }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
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
            update.write(out)?;
        }
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        writeln!(out, "spool: {:.1} of {:.0} MB", megabytes(spool.bytes), megabytes(spool.budget))?;
        if let Some(failure) = &spool.failure {
            writeln!(out, "spool: FAILED: {failure}")?;
        }
        if spool.damaged_bytes > 0 {
            writeln!(
                out,
                "spool: {} bytes of damage are kept as damaged-… in its folder",
                spool.damaged_bytes
            )?;
        }
        for class in spool.classes.iter().rev() {
            let ClassReport { class, produced, delivered, pending, evicted, refused, damaged, in_doubt } =
                class;
            writeln!(
                out,
                "  {class:6} produced {produced}, delivered {delivered}, waiting {pending}, dropped {}, in doubt {in_doubt}",
                evicted + refused + damaged
            )?;
        }
        for source in &self.sources {
            let SourceReport { name, captured, encoded, bytes, .. } = source;
            writeln!(out, "source {name}: captured {captured}, encoded {encoded} ({bytes} bytes)")?;
            let dropped = [
                ("too fast", source.too_fast),
                ("unchanged", source.unchanged),
                ("damaged", source.damaged),
                ("failed", source.failed),
            ];
            for (why, count) in dropped.into_iter().filter(|(_, count)| *count > 0) {
                writeln!(out, "  {why}: {count}")?;
            }
            if let Some(error) = &source.last_error {
                writeln!(out, "  last: {error}")?;
            }
        }
        Ok(())
    }
}
