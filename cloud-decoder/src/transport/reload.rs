//! Files that may change while the server runs.
//!
//! Every few seconds, and at SIGHUP, the contents are compared with the last ones. Modification times are not
//! compared: Kubernetes swaps a link, and copies may keep the times. Changed files are loaded. A failure to load
//! is logged once, and the previous value stays in use until the files change again.

use std::{path::PathBuf, sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{Interval, MissedTickBehavior, interval},
};

use super::FrontStats;
use crate::StartError;

/// The files to watch, and the interval of the checks.
#[derive(Debug, Clone)]
pub(crate) struct WatchedFiles {
    /// The description of the files in logs.
    pub(crate) description: &'static str,
    /// The paths of the files.
    pub(crate) files: Vec<PathBuf>,
    /// Time between two checks.
    pub(crate) interval: Duration,
}

/// The times at which files are checked: at every interval, and at SIGHUP.
#[derive(Debug)]
pub(crate) struct CheckTimes {
    ticks: Interval,
    hangups: Option<Signal>,
}

impl CheckTimes {
    pub(crate) fn every(period: Duration) -> Self {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, hangups: signal(SignalKind::hangup()).ok() }
    }

    /// Waits for the next check. The first one is due at once.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.ticks.tick() => {}
            Some(()) = next_hangup(&mut self.hangups) => {}
        }
    }
}

/// Loads the files, and reloads them after changes; `load` receives the previous value. The task ends with the
/// last receiver.
///
/// # Errors
/// The error of the first `load`.
pub(crate) fn watch_files<T: Send + Sync + 'static>(
    watched: WatchedFiles,
    stats: Arc<FrontStats>,
    load: impl Fn(Option<&T>) -> Result<T, StartError> + Send + Sync + 'static,
) -> Result<watch::Receiver<Arc<T>>, StartError> {
    let mut digest = digest_files(&watched.files);
    let (sender, receiver) = watch::channel(Arc::new(load(None)?));
    let (watched, load) = (Arc::new(watched), Arc::new(load));
    tokio::spawn(async move {
        let mut checks = CheckTimes::every(watched.interval);
        loop {
            tokio::select! {
                () = checks.next() => {}
                () = sender.closed() => return,
            }
            let (watched, load, current) = (watched.clone(), load.clone(), sender.borrow().clone());
            let description = watched.description;
            let check = tokio::task::spawn_blocking(move || {
                let found = digest_files(&watched.files);
                (found, (found != digest).then(|| load(Some(&current))))
            });
            let Ok((found, loaded)) = check.await else { continue };
            digest = found;
            match loaded {
                None => {}
                Some(Ok(reloaded)) => {
                    sender.send_replace(Arc::new(reloaded));
                    tracing::info!("{description} reloaded");
                    stats.count_reload(true);
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "{description} cannot be reloaded; the previous version stays in use");
                    stats.count_reload(false);
                }
            }
        }
    });
    Ok(receiver)
}

async fn next_hangup(hangups: &mut Option<Signal>) -> Option<()> {
    hangups.as_mut()?.recv().await
}

/// Returns a digest of all contents; a file that cannot be read counts as empty.
fn digest_files(files: &[PathBuf]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap_or_default();
        digest.update(bytes.len().to_le_bytes());
        digest.update(bytes);
    }
    digest.finalize().into()
}
