use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use super::{
    done_list::{DoneList, FileOutcome},
    fingerprint::Fingerprint,
    ignored_name::is_ignored,
    kept::{KeepBounds, KeptFolder, Pruned, prune},
    place::move_into,
    reading_list::ReadingList,
    tree::{FAILED_FOLDER, REFUSED_FOLDER},
};
use crate::CaptureError;

/// Name of the list of files that are being read, in the watched folder.
const READING_LIST: &str = ".lopside-reading";
/// Number of times that the agent may end while it reads a file. The first time may be a power cut.
const MAX_INTERRUPTED: u32 = 2;

/// Treatment of a file that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DoneAction {
    /// Moves it into this folder, which is created if it is missing, below the same subfolders. A number is added to
    /// its name if the name is taken.
    Move(PathBuf),
    /// Leaves it in place and records its path, size and modification time in this list, which may be in another
    /// folder.
    Remember(PathBuf),
    /// Deletes it.
    Delete,
}

impl DoneAction {
    /// Returns the folder to which files are moved; `None` if they are not moved.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Move(folder) => Some(folder),
            Self::Remember(_) | Self::Delete => None,
        }
    }
}

/// A file that was taken out of a watched folder. If it is dropped, the file is taken again after the next
/// start of the agent.
#[derive(Debug)]
pub struct TakenFile {
    path: PathBuf,
    /// The path in the watched folder.
    name: OsString,
    fingerprint: Fingerprint,
    files: Arc<FolderFiles>,
}

impl TakenFile {
    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a key of the file in its current state, unique among all files; `None` if the file is gone.
    #[must_use]
    pub fn file_key(&self) -> Option<u64> {
        Fingerprint::file_key(&self.path)
    }

    /// Records on the disk that the file is being read, until the returned mark is dropped. It must be called before
    /// the first byte is read: a file during whose reading the agent ends twice is set aside, so that it cannot keep
    /// the files behind it from being read.
    ///
    /// # Errors
    /// [`CaptureError::FileOperation`]; the file can be read without the record.
    pub fn begin_reading(&self) -> Result<ReadingMark, CaptureError> {
        let Self { name, fingerprint, files, .. } = self;
        files.state().reading.begin(name, *fingerprint)?;
        Ok(ReadingMark { name: name.clone(), fingerprint: *fingerprint, files: files.clone() })
    }

    /// Returns the file if it may be read. Sets it aside if the agent has ended too often while it was being read.
    ///
    /// # Errors
    /// [`CaptureError::FileSetAside`] after that, or [`CaptureError::FileOperation`]; the file is then still in its
    /// place, but is not taken again before the next start.
    pub(crate) fn check_interruptions(self) -> Result<Self, CaptureError> {
        if self.files.state().reading.begun_count(&self.name, self.fingerprint) < MAX_INTERRUPTED {
            return Ok(self);
        }
        let place = match &self.files.after {
            DoneAction::Remember(list) => {
                format!("{} lists it as refused, and it is taken again if it changes", list.display())
            }
            DoneAction::Move(_) | DoneAction::Delete => {
                let folder = self.files.subfolder(REFUSED_FOLDER, &self.name);
                format!("it is in {}, and is taken again if it is moved back", folder.display())
            }
        };
        let path = self.path.clone();
        self.finish(FileOutcome::Refused)?;
        Err(CaptureError::FileSetAside { path, place })
    }

    /// Treats the file as [`DoneAction`] specifies, once its outputs are safe on the disk. A file that was
    /// rewritten meanwhile is left to be taken again; a file that is gone counts as done.
    ///
    /// # Errors
    /// [`CaptureError::FileOperation`]; the file is then still in its place, and the source tries again from time to
    /// time.
    pub fn mark_done(self) -> Result<(), CaptureError> {
        self.finish(FileOutcome::Done)
    }

    /// Puts aside a file that cannot be read: moves it into the subfolder `failed`, or records it as failed
    /// for [`DoneAction::Remember`].
    ///
    /// # Errors
    /// [`CaptureError::FileOperation`]; the file is then still in its place, and the source tries again from time to
    /// time.
    pub fn mark_failed(self) -> Result<(), CaptureError> {
        self.finish(FileOutcome::Failed)
    }

    fn finish(self, outcome: FileOutcome) -> Result<(), CaptureError> {
        let Self { path, name, fingerprint, files } = self;
        files.settle(FinishedFile { path, name, fingerprint, outcome })
    }
}

/// The record that a file is being read. Dropping it removes the record, except while the thread panics: what ends
/// the thread may end the agent.
#[derive(Debug)]
#[must_use = "the record is removed when it is dropped"]
pub struct ReadingMark {
    name: OsString,
    fingerprint: Fingerprint,
    files: Arc<FolderFiles>,
}

impl Drop for ReadingMark {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.files.state().end_reading(&self.name, self.fingerprint);
        }
    }
}

/// The known state of a folder's files.
#[derive(Debug)]
pub(crate) struct FolderFiles {
    folder: PathBuf,
    after: DoneAction,
    state: Mutex<FolderState>,
}

/// A file whose outcome is known.
#[derive(Debug, Clone)]
struct FinishedFile {
    path: PathBuf,
    name: OsString,
    fingerprint: Fingerprint,
    outcome: FileOutcome,
}

#[derive(Debug)]
struct FolderState {
    /// Files that were taken and are not done.
    in_progress: HashMap<OsString, Fingerprint>,
    done_list: Option<DoneList>,
    reading: ReadingList,
    /// Files that could not be put where they belong. They are in progress, so that they are not taken again.
    unsettled: Vec<FinishedFile>,
    /// The folders for files that are done, failed, or refused.
    kept: Vec<KeptFolder>,
}

/// The bounds on what is kept of files that were read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FolderBounds {
    pub(crate) done: KeepBounds,
    /// The bounds on files that could not be read, and on those that were set aside.
    pub(crate) failed: KeepBounds,
}

impl FolderFiles {
    /// Opens the state for a folder, and checks that `after` is compatible with it.
    pub(crate) fn open(folder: &Path, after: DoneAction, bounds: FolderBounds) -> Result<Self, CaptureError> {
        let mut done_list = None;
        match &after {
            DoneAction::Move(target) => {
                fs::create_dir_all(target).map_err(CaptureError::file_error("create the folder", target))?;
                refuse_same_folder(
                    folder,
                    target,
                    "done files cannot be moved into the watched folder: choose another folder",
                )?;
            }
            DoneAction::Remember(list) => {
                let parent = list.parent().filter(|parent| !parent.as_os_str().is_empty());
                let parent = parent.unwrap_or(Path::new("."));
                fs::create_dir_all(parent).map_err(CaptureError::file_error("create the folder", parent))?;
                if !list.file_name().is_some_and(is_ignored) {
                    refuse_inside(
                        folder,
                        parent,
                        "the list of done files would be captured as an input: begin its name with a dot",
                    )?;
                }
                done_list = Some(DoneList::open(list, folder)?);
            }
            DoneAction::Delete => {}
        }
        let reading = ReadingList::open(reading_list_path(folder, &after), folder)?;
        let kept = kept_folders(folder, &after, bounds);
        let state =
            FolderState { in_progress: HashMap::new(), done_list, reading, unsettled: Vec::new(), kept };
        Ok(Self { folder: folder.to_owned(), after, state: Mutex::new(state) })
    }

    /// Returns whether the file is taken or done.
    pub(crate) fn is_known(&self, name: &OsStr, fingerprint: Fingerprint) -> bool {
        self.state().is_known(name, fingerprint)
    }

    /// Takes a file, unless it is taken or done.
    pub(crate) fn take(
        self: &Arc<Self>,
        name: OsString,
        path: PathBuf,
        fingerprint: Fingerprint,
    ) -> Option<TakenFile> {
        let mut state = self.state();
        if state.is_known(&name, fingerprint) {
            return None;
        }
        state.in_progress.insert(name.clone(), fingerprint);
        Some(TakenFile { path, name, fingerprint, files: self.clone() })
    }

    fn state(&self) -> MutexGuard<'_, FolderState> {
        // A panic cannot leave the maps half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of files that could not be put where they belong.
    pub(crate) fn unsettled_count(&self) -> u64 {
        self.state().unsettled.len() as u64
    }

    /// Tries again to put files where they belong.
    ///
    /// # Errors
    /// The first error, after which the others are not tried.
    pub(crate) fn retry_unsettled(&self) -> Result<(), CaptureError> {
        let mut waiting = std::mem::take(&mut self.state().unsettled).into_iter();
        let result = waiting.by_ref().try_for_each(|file| self.settle(file));
        self.state().unsettled.extend(waiting);
        result
    }

    /// Removes the oldest files of the folders that are over their bounds. Returns the folders from which files were
    /// removed, or could not be.
    pub(crate) fn prune_kept(&self, now: Duration, time: SystemTime) -> Vec<(PathBuf, Pruned)> {
        let due: Vec<_> = self.state().kept.iter_mut().filter_map(|kept| kept.begin_prune(now)).collect();
        let pruned = due.into_iter().map(|(path, bounds)| {
            let pruned = prune(&path, bounds, time);
            (path, pruned)
        });
        pruned.filter(|(_, pruned)| pruned.files > 0 || pruned.error.is_some()).collect()
    }

    /// Puts a file where its outcome says, and forgets it. If that fails, it is tried again later.
    fn settle(&self, file: FinishedFile) -> Result<(), CaptureError> {
        let result = self.put_away(&file).and_then(|()| self.forget(&file));
        if result.is_err() {
            self.state().unsettled.push(file);
        }
        result
    }

    fn put_away(&self, file: &FinishedFile) -> Result<(), CaptureError> {
        // A file that was rewritten meanwhile is left to be taken again.
        if Fingerprint::read_fingerprint(&file.path) != Some(file.fingerprint) {
            return Ok(());
        }
        let folder = match (&self.after, file.outcome) {
            (DoneAction::Remember(_), _) => return Ok(()),
            (DoneAction::Delete, FileOutcome::Done) => return remove_file(&file.path),
            (DoneAction::Move(folder), FileOutcome::Done) => folder.clone(),
            (DoneAction::Move(_) | DoneAction::Delete, FileOutcome::Failed) => {
                self.folder.join(FAILED_FOLDER)
            }
            (DoneAction::Move(_) | DoneAction::Delete, FileOutcome::Refused) => {
                self.folder.join(REFUSED_FOLDER)
            }
        };
        let target = below(&folder, &file.name);
        fs::create_dir_all(&target).map_err(CaptureError::file_error("create the folder", &target))?;
        move_into(&file.path, &target)?;
        let mut state = self.state();
        if let Some(kept) = state.kept.iter_mut().find(|kept| kept.path() == folder) {
            kept.add(file.fingerprint.size_bytes);
        }
        Ok(())
    }

    /// Returns the folder in which a file of this outcome is put aside.
    fn subfolder(&self, subfolder: &str, name: &OsStr) -> PathBuf {
        below(&self.folder.join(subfolder), name)
    }

    /// Adds a file to the list of done files, if there is one, and to the files that may be taken again.
    fn forget(&self, file: &FinishedFile) -> Result<(), CaptureError> {
        let FinishedFile { name, fingerprint, outcome, .. } = file;
        let mut state = self.state();
        if let Some(list) = &mut state.done_list {
            list.add(name.clone(), *fingerprint, *outcome)?;
        }
        // The file may have been rewritten, and taken again.
        if state.in_progress.get(name) == Some(fingerprint) {
            state.in_progress.remove(name);
        }
        state.end_reading(name, *fingerprint);
        Ok(())
    }
}

impl FolderState {
    fn is_known(&self, name: &OsStr, fingerprint: Fingerprint) -> bool {
        self.in_progress.get(name) == Some(&fingerprint)
            || self.done_list.as_ref().is_some_and(|list| list.is_listed(name, fingerprint))
    }

    fn end_reading(&mut self, name: &OsStr, fingerprint: Fingerprint) {
        // A record that stays behind costs at most one attempt of a file that is taken again.
        if let Err(error) = self.reading.end(name, fingerprint) {
            tracing::warn!(%error, "the record of a file that was read cannot be removed");
        }
    }
}

/// Returns the path of the list of files that are being read: beside the list of done files if there is one, because
/// the watched folder may then be read-only. The name is hidden, so that it is never captured as an input.
fn reading_list_path(folder: &Path, after: &DoneAction) -> PathBuf {
    let DoneAction::Remember(done_list) = after else { return folder.join(READING_LIST) };
    let done_name = done_list.file_name().unwrap_or_default().as_bytes();
    let mut name = OsString::from(".");
    name.push(OsStr::from_bytes(done_name.strip_prefix(b".").unwrap_or(done_name)));
    name.push(".reading");
    done_list.with_file_name(name)
}

fn remove_file(path: &Path) -> Result<(), CaptureError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(CaptureError::file_error("delete", path)),
    }
}

/// Returns the folders whose files are bounded.
fn kept_folders(folder: &Path, after: &DoneAction, bounds: FolderBounds) -> Vec<KeptFolder> {
    let aside = [FAILED_FOLDER, REFUSED_FOLDER].map(|name| KeptFolder::new(folder.join(name), bounds.failed));
    let done = match after {
        DoneAction::Move(target) => Some(KeptFolder::new(target.clone(), bounds.done)),
        DoneAction::Remember(_) => return Vec::new(),
        DoneAction::Delete => None,
    };
    done.into_iter().chain(aside).collect()
}

/// Returns the folder in which a file of the watched folder is put: below the same subfolders as there.
fn below(folder: &Path, name: &OsStr) -> PathBuf {
    let subfolders = Path::new(name).parent().filter(|parent| !parent.as_os_str().is_empty());
    subfolders.map_or_else(|| folder.to_owned(), |subfolders| folder.join(subfolders))
}

fn refuse_same_folder(folder: &Path, other: &Path, message: &str) -> Result<(), CaptureError> {
    if resolve_path(folder)? == resolve_path(other)? {
        return Err(CaptureError::InvalidSetting(format!("{}: {message}", folder.display())));
    }
    Ok(())
}

/// Refuses a folder that is the watched folder or one of its subfolders.
fn refuse_inside(folder: &Path, other: &Path, message: &str) -> Result<(), CaptureError> {
    if resolve_path(other)?.starts_with(resolve_path(folder)?) {
        return Err(CaptureError::InvalidSetting(format!("{}: {message}", folder.display())));
    }
    Ok(())
}

fn resolve_path(path: &Path) -> Result<PathBuf, CaptureError> {
    fs::canonicalize(path).map_err(CaptureError::file_error("resolve", path))
}
