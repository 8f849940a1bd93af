use std::{collections::BTreeMap, mem, sync::Arc};

use tokio::sync::watch;

use super::{
    key_file::{KeyFileState, WatchedKeys},
    keys::{ApiKey, ApiKeys},
};

/// The keys by name, with the settings of each as text. The text only serves to compare them: it contains the digest.
type KeySettings = BTreeMap<String, String>;

/// The changes of a key file, one after the other.
#[derive(Debug)]
pub(crate) struct KeyFileChanges {
    keys: watch::Receiver<Arc<ApiKeys>>,
    state: watch::Receiver<KeyFileState>,
    before: KeySettings,
}

/// A change of a key file.
#[derive(Debug)]
pub(crate) struct KeyFileChange {
    pub(crate) before: KeySettings,
    pub(crate) after: KeySettings,
    /// The problem of the new file; `None` if its keys are in use.
    pub(crate) fault: Option<String>,
}

impl KeyFileChanges {
    pub(super) fn new(WatchedKeys { keys, state }: &WatchedKeys) -> Self {
        let (keys, mut state) = (keys.clone(), state.clone());
        state.mark_unchanged();
        let before = settings_of(&keys.borrow());
        Self { keys, state, before }
    }

    /// Waits for the next change. Returns `None` when the file is not watched any more.
    pub(crate) async fn next(&mut self) -> Option<KeyFileChange> {
        self.state.changed().await.ok()?;
        let fault = self.state.borrow_and_update().fault.as_ref().map(ToString::to_string);
        let after = settings_of(&self.keys.borrow());
        let before = mem::replace(&mut self.before, after.clone());
        Some(KeyFileChange { before, after, fault })
    }
}

fn settings_of(keys: &ApiKeys) -> KeySettings {
    keys.iter().map(|key| (key.name.to_string(), describe_settings(key))).collect()
}

/// Returns everything that the key file says of a key, as text.
fn describe_settings(key: &ApiKey) -> String {
    let ApiKey { name: _, digest, scopes, devices, limits, gmacs_per_minute, expires, disabled, usage: _ } =
        key;
    format!("{digest:?} {scopes:?} {devices:?} {limits:?} {gmacs_per_minute:?} {expires:?} {disabled}")
}
