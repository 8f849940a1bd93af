//! A watched folder: yields each file when it is finished, the oldest first.
//!
//! - A file is finished when its writer has closed it, or when it was moved into the folder. inotify reports
//!   both.
//! - Files that are present at the start, or were missed because inotify's queue overflowed, are found by
//!   listing the folder. A listing cannot tell a finished file from one that is still being written, so a
//!   listed file is taken once its size and modification time have not changed for a while.
//! - Hidden files, empty files, subfolders, and names that end in `.part`, `.tmp`, `.crdownload` or `~` are
//!   ignored.
//! - An unchanged file is not taken again until it is [done](TakenFile::mark_done) or the agent restarts. Every file
//!   is therefore taken at least once, and possibly twice after a crash, unless the caller remembers the
//!   inputs that it [stored](FolderSource::finish_stored).
//! - A file during whose [reading](TakenFile::begin_reading) the agent ended twice is set aside: it is moved into the
//!   subfolder `refused`, or recorded as refused. Otherwise a file that ends the agent would end it at every start,
//!   and the files behind it would never be read.
//!
//! The number of waiting files is limited; if there are more, the folder is listed again later. Only the
//! names of files that were taken and are not done, and those recorded by [`DoneAction::Remember`], grow with the
//! folder.

mod done_list;
mod file_line;
mod fingerprint;
mod finish;
mod ignored_name;
mod place;
mod reading_list;
mod scan;
mod watch;

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use finish::{DoneAction, ReadingMark, TakenFile};

use self::{
    fingerprint::Fingerprint,
    finish::FolderFiles,
    ignored_name::is_ignored,
    scan::SettlingFiles,
    watch::{FolderChange, FolderWatch},
};
use crate::{CaptureError, Captured, CapturedInput, InputCounts, Source, SourceContext, stop::WaitOutcome};

/// Maximum number of waiting files.
const MAX_WAITING_FILES: usize = 4096;

/// Options of a watched folder.
pub struct FolderOptions {
    /// The folder. Its subfolders are not watched.
    pub path: PathBuf,
    /// Treatment of files that are done.
    pub after: DoneAction,
    /// Time for which a listed file must not have changed before it is taken; two seconds by default.
    pub settle_time: Duration,
    /// Filter on file names; all files are wanted by default.
    pub accepts_file: Box<dyn Fn(&Path) -> bool + Send>,
}

impl FolderOptions {
    /// Creates options that accept all files of a folder.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, after: DoneAction) -> Self {
        Self {
            path: path.into(),
            after,
            settle_time: Duration::from_secs(2),
            accepts_file: Box::new(|_| true),
        }
    }
}

/// The folder as a source of [`CapturedInput::File`].
pub struct FolderSource {
    context: SourceContext,
    path: PathBuf,
    accepts_file: Box<dyn Fn(&Path) -> bool + Send>,
    watch: FolderWatch,
    files: Arc<FolderFiles>,
    /// Names of finished files, in the order in which they were finished.
    finished: VecDeque<OsString>,
    settling: SettlingFiles,
    /// Whether the folder may contain files that are not known yet.
    needs_listing: bool,
    is_gone: bool,
    counts: InputCounts,
}

impl FolderSource {
    /// Starts to watch a folder.
    ///
    /// # Errors
    /// [`CaptureError::WatchFolder`] if the folder is missing or cannot be watched, [`CaptureError::InvalidSetting`] and
    /// [`CaptureError::FileOperation`] if `after` is not compatible with the folder.
    pub fn open(context: SourceContext, options: FolderOptions) -> Result<Self, CaptureError> {
        let FolderOptions { path, after, settle_time, accepts_file } = options;
        // Watching before listing means that a file that arrives in between is seen twice and taken once.
        let watch = FolderWatch::open(&path)?;
        Ok(Self {
            context,
            files: Arc::new(FolderFiles::open(&path, after)?),
            path,
            accepts_file,
            watch,
            finished: VecDeque::new(),
            settling: SettlingFiles::new(settle_time),
            needs_listing: true,
            is_gone: false,
            counts: InputCounts::default(),
        })
    }

    /// Marks those present files as [done](TakenFile::mark_done) whose inputs are all stored, because the agent
    /// stopped before it could do so. Returns the [keys](TakenFile::file_key) of the other files.
    ///
    /// # Errors
    /// [`CaptureError::FileOperation`].
    pub fn finish_stored(&self, is_stored: impl Fn(u64) -> bool) -> Result<Vec<u64>, CaptureError> {
        let mut unfinished = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(CaptureError::file_error("list", &self.path))? {
            let entry = entry.map_err(CaptureError::file_error("list", &self.path))?;
            let (name, path) = (entry.file_name(), entry.path());
            let (Some(fingerprint), Some(key)) =
                (Fingerprint::read_fingerprint(&path), Fingerprint::file_key(&path))
            else {
                continue;
            };
            if !self.is_wanted(&name) {
                continue;
            }
            if !is_stored(key) {
                unfinished.push(key);
            } else if let Some(file) = self.files.take(name, path, fingerprint) {
                tracing::info!(source = &*self.context.name, file = %file.path().display(), "file was stored completely before the last stop");
                file.mark_done()?;
            }
        }
        Ok(unfinished)
    }

    /// Processes the pending inotify events.
    fn process_events(&mut self) -> Result<(), CaptureError> {
        let (finished, needs_listing, is_gone) =
            (&mut self.finished, &mut self.needs_listing, &mut self.is_gone);
        let result = self.watch.drain(|change| match change {
            FolderChange::Finished(name) if finished.len() < MAX_WAITING_FILES => finished.push_back(name),
            FolderChange::Finished(_) | FolderChange::Overflow => *needs_listing = true,
            FolderChange::Gone => *is_gone = true,
        });
        result.map_err(CaptureError::system_error("read the changes in a folder"))?;
        if self.is_gone { Err(CaptureError::FolderGone { path: self.path.clone() }) } else { Ok(()) }
    }

    /// Returns the next file that can be taken now.
    fn next_ready(&mut self) -> Result<Option<Captured>, CaptureError> {
        loop {
            let now = self.context.clock.now();
            let path = &self.path;
            let settled = self.settling.take(now, |name| Fingerprint::read_fingerprint(&path.join(name)));
            let Some(name) = settled.or_else(|| self.finished.pop_front()) else { return Ok(None) };
            if !self.is_wanted(&name) {
                continue;
            }
            let path = self.path.join(&name);
            let Some(fingerprint) = Fingerprint::read_fingerprint(&path) else { continue };
            if let Some(file) = self.files.take(name, path, fingerprint) {
                let file = file.check_interruptions()?;
                self.counts.captured += 1;
                let source_name = self.context.name.clone();
                return Ok(Some(Captured {
                    captured_at: fingerprint.modified_at(),
                    source_name,
                    input: CapturedInput::File(file),
                }));
            }
        }
    }

    fn is_wanted(&self, name: &OsStr) -> bool {
        !is_ignored(name) && (self.accepts_file)(Path::new(name))
    }

    fn list(&mut self) -> Result<(), CaptureError> {
        let (files, has_more) = scan::list(&self.path, MAX_WAITING_FILES, |name, fingerprint| {
            self.is_wanted(name) && !self.files.is_known(name, fingerprint)
        })?;
        self.settling.add_found(files, self.context.clock.now());
        self.needs_listing = has_more;
        Ok(())
    }
}

impl Source for FolderSource {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        while !self.context.stop.is_stopped() {
            self.process_events()?;
            if let Some(captured) = self.next_ready()? {
                return Ok(Some(captured));
            }
            if self.needs_listing && self.settling.is_empty() {
                self.list()?;
                continue;
            }
            let clock = &*self.context.clock;
            let timeout = self.settling.due().map(|due_at| due_at.saturating_sub(clock.now()));
            let outcome = self.context.stop.wait(Some(self.watch.as_fd()), clock, timeout);
            if outcome.map_err(CaptureError::system_error("wait for a file"))? == WaitOutcome::Stopped {
                break;
            }
        }
        Ok(None)
    }

    fn input_counts(&self) -> InputCounts {
        self.counts
    }
}
