//! The key file while the server runs.
//!
//! The file is read at every interval, and at SIGHUP. A change has one of three effects:
//!
//! | file | keys in use |
//! |---|---|
//! | valid, with keys | those of the file |
//! | invalid | the previous ones, because a typing error must not lock everyone out |
//! | missing, unreadable, or without keys | none: to remove the last key or the file revokes every key |
//!
//! Only the state at the time of a check counts. A file that is deleted and written again between two checks was
//! never missing; one that is missing at a check revokes the keys until the next check. Replace the file by a rename.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::{
    file::{KeyFileFault, parse_file, read_file},
    keys::{ApiKeys, KeyDigest},
};
use crate::{
    StartError,
    transport::{FrontStats, reload::CheckTimes},
};

/// The state of the key file at the last check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFileState {
    /// Whether keys are in use: those of the file, or the previous ones if the file is invalid.
    pub accepts_keys: bool,
    /// The problem of the file; `None` if its keys are in use.
    pub fault: Option<KeyFileFault>,
}

/// The keys of a file, and the state of the file, as they change.
#[derive(Debug, Clone)]
pub(super) struct WatchedKeys {
    pub(super) keys: watch::Receiver<Arc<ApiKeys>>,
    pub(super) state: watch::Receiver<KeyFileState>,
}

/// The sending end of [`WatchedKeys`].
struct KeyFileWatcher {
    path: PathBuf,
    /// Digest of the contents at the last check, or the reason why they could not be read.
    seen: Result<KeyDigest, KeyFileFault>,
    keys: watch::Sender<Arc<ApiKeys>>,
    state: watch::Sender<KeyFileState>,
    stats: Arc<FrontStats>,
}

/// Reads the keys of a file once.
pub(crate) fn load_keys(path: &Path) -> Result<ApiKeys, KeyFileFault> {
    read_file(path).and_then(|bytes| parse_file(&bytes))
}

impl WatchedKeys {
    /// Reads the file, and reads it again after changes. The task ends with the last receiver of the keys.
    ///
    /// # Errors
    /// [`StartError::ApiKeys`] if the file is missing, invalid, or without keys.
    pub(super) fn start(
        path: PathBuf,
        interval: Duration,
        stats: Arc<FrontStats>,
    ) -> Result<Self, StartError> {
        let bytes = read_file(&path).map_err(|fault| fault.at_start(&path))?;
        let keys = parse_file(&bytes).map_err(|fault| fault.at_start(&path))?;
        warn_unrestricted(&keys);
        let watcher = KeyFileWatcher {
            path,
            seen: Ok(Sha256::digest(&bytes).into()),
            keys: watch::Sender::new(Arc::new(keys)),
            state: watch::Sender::new(KeyFileState { accepts_keys: true, fault: None }),
            stats,
        };
        let watched = Self { keys: watcher.keys.subscribe(), state: watcher.state.subscribe() };
        tokio::spawn(watcher.run(CheckTimes::every(interval)));
        Ok(watched)
    }
}

impl KeyFileWatcher {
    async fn run(mut self, mut checks: CheckTimes) {
        loop {
            tokio::select! {
                () = checks.next() => {}
                () = self.keys.closed() => return,
            }
            let path = self.path.clone();
            let Ok(contents) = tokio::task::spawn_blocking(move || read_file(&path)).await else { continue };
            let found: Result<KeyDigest, _> =
                contents.as_ref().map(|bytes| Sha256::digest(bytes).into()).map_err(Clone::clone);
            if found != self.seen {
                self.seen = found;
                self.apply(contents.and_then(|bytes| parse_file(&bytes)));
            }
        }
    }

    /// Puts the keys of a changed file into use, or logs why they cannot be used.
    fn apply(&self, loaded: Result<ApiKeys, KeyFileFault>) {
        let previous = Arc::clone(&self.keys.borrow());
        let was_accepting = self.state.borrow().accepts_keys;
        let is_valid = loaded.is_ok();
        let state = match loaded {
            Ok(keys) => {
                self.replace_keys(keys, &previous);
                KeyFileState { accepts_keys: true, fault: None }
            }
            Err(fault @ KeyFileFault::Invalid(_)) => {
                let keys_in_use = if was_accepting { "the previous version stays" } else { "none are" };
                self.log_fault(&fault, &format!("API keys cannot be reloaded; {keys_in_use} in use"));
                KeyFileState { accepts_keys: was_accepting, fault: Some(fault) }
            }
            Err(fault @ (KeyFileFault::Unreadable(_) | KeyFileFault::Empty)) => {
                self.log_fault(&fault, "no API key is accepted any more until the file has keys again");
                self.keys.send_replace(Arc::new(previous.to_disabled()));
                KeyFileState { accepts_keys: false, fault: Some(fault) }
            }
        };
        self.state.send_replace(state);
        self.stats.count_reload(is_valid);
    }

    fn replace_keys(&self, mut keys: ApiKeys, previous: &ApiKeys) {
        keys.keep_usage_of(previous);
        for key in keys.revoked_since(previous) {
            tracing::info!(key, "API key revoked; its open requests end");
        }
        warn_unrestricted(&keys);
        self.keys.send_replace(Arc::new(keys));
        tracing::info!("API keys reloaded");
    }

    fn log_fault(&self, fault: &KeyFileFault, effect: &str) {
        tracing::error!(file = %self.path.display(), error = %fault, "{effect}");
    }
}

fn warn_unrestricted(keys: &ApiKeys) {
    if let Some(warning) = keys.unrestricted_warning() {
        tracing::warn!("{warning}");
    }
}
