use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    is_ignored,
    place::move_into,
    print::Print,
    remembered::{Outcome, Remembered},
};
use crate::CaptureError;

/// The subfolder for files that could not be read.
const FAILED: &str = "failed";

/// Treatment of a file that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Moves it into this folder, which is created if it is missing. A number is added to its name if the
    /// name is taken.
    Move(PathBuf),
    /// Leaves it in place and records its name, size and modification time in this list.
    Remember(PathBuf),
    /// Deletes it.
    Delete,
}

/// A file that was taken out of a watched folder. If it is dropped, the file is taken again after the next
/// start of the agent.
#[derive(Debug)]
pub struct Taken {
    path: PathBuf,
    name: OsString,
    print: Print,
    desk: Arc<Desk>,
}

impl Taken {
    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a key of the file in its current state, unique among all files; `None` if the file is gone.
    #[must_use]
    pub fn key(&self) -> Option<u64> {
        Print::key_of(&self.path)
    }

    /// Treats the file as [`After`] specifies, once its outputs are safe on the disk. A file that was
    /// rewritten meanwhile is left to be taken again; a file that is gone counts as done.
    ///
    /// # Errors
    /// [`CaptureError::File`]; the file is then still in its place.
    pub fn done(self) -> Result<(), CaptureError> {
        self.finish(Outcome::Done)
    }

    /// Puts aside a file that cannot be read: moves it into the subfolder `failed`, or records it as failed
    /// for [`After::Remember`].
    ///
    /// # Errors
    /// [`CaptureError::File`]; the file is then still in its place.
    pub fn failed(self) -> Result<(), CaptureError> {
        self.finish(Outcome::Failed)
    }

    fn finish(self, outcome: Outcome) -> Result<(), CaptureError> {
        if Print::of(&self.path) == Some(self.print) {
            match (&self.desk.after, outcome) {
                (After::Remember(_), _) => {}
                (After::Move(folder), Outcome::Done) => move_into(&self.path, folder)?,
                (After::Delete, Outcome::Done) => remove(&self.path)?,
                (After::Move(_) | After::Delete, Outcome::Failed) => self.desk.put_aside(&self.path)?,
            }
        }
        self.desk.forget(self.name, self.print, outcome)
    }
}

/// The known state of a folder's files.
#[derive(Debug)]
pub(crate) struct Desk {
    folder: PathBuf,
    after: After,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Files that were taken and are not done.
    taken: HashMap<OsString, Print>,
    remembered: Option<Remembered>,
}

impl Desk {
    /// Opens the state for a folder, and checks that `after` is compatible with it.
    pub(crate) fn open(folder: &Path, after: After) -> Result<Self, CaptureError> {
        let mut state = State::default();
        match &after {
            After::Move(target) => {
                fs::create_dir_all(target).map_err(CaptureError::file("create the folder", target))?;
                refuse_inside(
                    folder,
                    target,
                    "done files cannot be moved into the watched folder: choose another folder",
                )?;
            }
            After::Remember(list) => {
                if !list.file_name().is_some_and(is_ignored) {
                    let parent = list.parent().filter(|parent| !parent.as_os_str().is_empty());
                    let message =
                        "the list of done files would be captured as an input: begin its name with a dot";
                    refuse_inside(folder, parent.unwrap_or(Path::new(".")), message)?;
                }
                state.remembered = Some(Remembered::open(list, folder)?);
            }
            After::Delete => {}
        }
        Ok(Self { folder: folder.to_owned(), after, state: Mutex::new(state) })
    }

    /// Returns whether the file is taken or done.
    pub(crate) fn knows(&self, name: &OsStr, print: Print) -> bool {
        self.state().knows(name, print)
    }

    /// Takes a file, unless it is taken or done.
    pub(crate) fn take(self: &Arc<Self>, name: OsString, path: PathBuf, print: Print) -> Option<Taken> {
        let mut state = self.state();
        if state.knows(&name, print) {
            return None;
        }
        state.taken.insert(name.clone(), print);
        Some(Taken { path, name, print, desk: self.clone() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the maps half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_aside(&self, path: &Path) -> Result<(), CaptureError> {
        let folder = self.folder.join(FAILED);
        fs::create_dir_all(&folder).map_err(CaptureError::file("create the folder", &folder))?;
        move_into(path, &folder)
    }

    fn forget(&self, name: OsString, print: Print, outcome: Outcome) -> Result<(), CaptureError> {
        let mut state = self.state();
        // The file may have been rewritten, and taken again.
        if state.taken.get(&name) == Some(&print) {
            state.taken.remove(&name);
        }
        state.remembered.as_mut().map_or(Ok(()), |list| list.add(name, print, outcome))
    }
}

impl State {
    fn knows(&self, name: &OsStr, print: Print) -> bool {
        self.taken.get(name) == Some(&print)
            || self.remembered.as_ref().is_some_and(|list| list.knows(name, print))
    }
}

fn remove(path: &Path) -> Result<(), CaptureError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(CaptureError::file("delete", path)),
    }
}

fn refuse_inside(folder: &Path, other: &Path, message: &str) -> Result<(), CaptureError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(CaptureError::file("resolve", path));
    if real(folder)? == real(other)? {
        return Err(CaptureError::Setting(format!("{}: {message}", folder.display())));
    }
    Ok(())
}
