use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{
    disk,
    state::{UpdateEvent, UpdateState, next_state},
};
use crate::{EdgeError, error::io_error};

const STATE_FILE: &str = "state.json";
const STATE_SCHEMA: u32 = 1;

/// The update state, in memory and on the disk.
#[derive(Debug)]
pub(crate) struct StateStore {
    path: PathBuf,
    state: Mutex<UpdateState>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    schema: u32,
    state: UpdateState,
}

impl StateStore {
    /// Reads the state file of the folder; starts with an empty state if the file is missing or unreadable.
    pub(crate) fn open(folder: &Path) -> Self {
        let path = folder.join(STATE_FILE);
        let state = read_state(&path).unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read the update state; the configured bundle encodes");
            UpdateState::default()
        });
        Self { path, state: Mutex::new(state) }
    }

    /// Returns the current state.
    pub(crate) fn state(&self) -> UpdateState {
        self.lock_state().clone()
    }

    /// Applies an event that takes effect only once the new state is on the disk.
    ///
    /// # Errors
    /// [`EdgeError::Io`]; the state is then unchanged.
    pub(crate) fn commit(&self, event: UpdateEvent) -> Result<UpdateState, EdgeError> {
        let mut state = self.lock_state();
        let new_state = next_state(&state, event);
        if new_state != *state {
            self.write(&new_state)?;
            *state = new_state.clone();
        }
        Ok(new_state)
    }

    /// Applies an event that has already happened, even if the new state cannot be written to the disk.
    pub(crate) fn note(&self, event: UpdateEvent) -> UpdateState {
        let mut state = self.lock_state();
        let new_state = next_state(&state, event);
        if new_state != *state {
            if let Err(error) = self.write(&new_state) {
                tracing::error!(%error, "cannot write the update state; it is kept in memory only");
            }
            *state = new_state.clone();
        }
        new_state
    }

    fn write(&self, state: &UpdateState) -> Result<(), EdgeError> {
        let file = StateFile { schema: STATE_SCHEMA, state: state.clone() };
        disk::replace(&self.path, &serde_json::to_vec_pretty(&file)?)
    }

    fn lock_state(&self) -> MutexGuard<'_, UpdateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_state(path: &Path) -> Result<UpdateState, EdgeError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(UpdateState::default()),
        result => result.map_err(io_error(path))?,
    };
    let file: StateFile =
        serde_json::from_slice(&text).map_err(|error| invalid_state_file(path, error.to_string()))?;
    if file.schema != STATE_SCHEMA {
        return Err(invalid_state_file(
            path,
            format!("it has schema {}, but this version reads schema {STATE_SCHEMA}", file.schema),
        ));
    }
    Ok(file.state)
}

fn invalid_state_file(path: &Path, reason: String) -> EdgeError {
    EdgeError::InvalidFile { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use lopside_bundle::Digest;
    use lopside_latent::LatentSpaceId;

    use super::*;
    use crate::agent::update::state::Release;

    fn release() -> Release {
        let latent_space = LatentSpaceId::new([7; 8]);
        Release { bundle: "toy".into(), latent_space, manifest: Digest::of(b"") }
    }

    #[test]
    fn a_committed_state_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let states = StateStore::open(folder.path());
        let state = states.commit(UpdateEvent::Installed(release())).unwrap();
        assert_eq!((StateStore::open(folder.path()).state(), states.state()), (state.clone(), state));
    }

    #[test]
    fn an_unwritable_state_is_not_committed_but_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let states = StateStore::open(&folder.path().join("missing"));
        assert!(states.commit(UpdateEvent::Installed(release())).is_err());
        assert_eq!(states.state(), UpdateState::default());
        assert_eq!(states.note(UpdateEvent::Installed(release())).current, Some(release()));
        assert_eq!(states.state().current, Some(release()));
    }

    #[test]
    fn an_invalid_file_counts_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", "{\"schema\": 2, \"state\": {}}"] {
            fs::write(folder.path().join(STATE_FILE), text).unwrap();
            assert_eq!(StateStore::open(folder.path()).state(), UpdateState::default(), "{text}");
        }
    }
}
