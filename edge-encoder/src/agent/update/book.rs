use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{
    disk,
    state::{Event, State, next},
};
use crate::{EdgeError, error::io as at};

const NAME: &str = "state.json";
const SCHEMA: u32 = 1;

/// The update state, in memory and on the disk.
#[derive(Debug)]
pub(crate) struct Book {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    schema: u32,
    state: State,
}

impl Book {
    /// Reads the state file of the folder; starts with an empty state if the file is missing or unreadable.
    pub(crate) fn open(folder: &Path) -> Self {
        let path = folder.join(NAME);
        let state = read(&path).unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read the update state; the configured bundle encodes");
            State::default()
        });
        Self { path, state: Mutex::new(state) }
    }

    /// Returns the current state.
    pub(crate) fn state(&self) -> State {
        self.locked().clone()
    }

    /// Applies an event that takes effect only once the new state is on the disk.
    ///
    /// # Errors
    /// [`EdgeError::Io`]; the state is then unchanged.
    pub(crate) fn commit(&self, event: Event) -> Result<State, EdgeError> {
        let mut state = self.locked();
        let after = next(&state, event);
        if after != *state {
            self.write(&after)?;
            *state = after.clone();
        }
        Ok(after)
    }

    /// Applies an event that has already happened, even if the new state cannot be written to the disk.
    pub(crate) fn note(&self, event: Event) -> State {
        let mut state = self.locked();
        let after = next(&state, event);
        if after != *state {
            if let Err(error) = self.write(&after) {
                tracing::error!(%error, "cannot write the update state; it is kept in memory only");
            }
            *state = after.clone();
        }
        after
    }

    fn write(&self, state: &State) -> Result<(), EdgeError> {
        let page = Page { schema: SCHEMA, state: state.clone() };
        disk::replace(&self.path, &serde_json::to_vec_pretty(&page)?)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<State, EdgeError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        read => read.map_err(at(path))?,
    };
    let wrong = |reason: String| EdgeError::File { path: path.to_owned(), reason };
    let page: Page = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if page.schema != SCHEMA {
        return Err(wrong(format!("it has schema {}, but this version reads schema {SCHEMA}", page.schema)));
    }
    Ok(page.state)
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
    fn what_was_committed_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(folder.path());
        let state = book.commit(Event::Installed(release())).unwrap();
        assert_eq!((Book::open(folder.path()).state(), book.state()), (state.clone(), state));
    }

    #[test]
    fn what_the_disk_does_not_take_is_not_committed_and_noted_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(&folder.path().join("missing"));
        assert!(book.commit(Event::Installed(release())).is_err());
        assert_eq!(book.state(), State::default());
        assert_eq!(book.note(Event::Installed(release())).current, Some(release()));
        assert_eq!(book.state().current, Some(release()));
    }

    #[test]
    fn a_file_that_says_nothing_is_as_none() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", "{\"schema\": 2, \"state\": {}}"] {
            fs::write(folder.path().join(NAME), text).unwrap();
            assert_eq!(Book::open(folder.path()).state(), State::default(), "{text}");
        }
    }
}
