//! A watched folder and its subfolders: yields each file when it is complete, the oldest first.
//!
//! - A file that is moved into the folder is complete. A file that its writer has closed is complete once it has not
//!   changed for the settle time: the writer may continue it, as an interrupted upload. inotify reports both.
//! - A link is complete once it has not changed for the settle time. A file that was created and never closed is taken
//!   when it has not changed for ten minutes.
//! - Files that are present at the start, or were missed because inotify's queue overflowed, are found by
//!   listing the folder. A listing cannot tell a finished file from one that is still being written, so a
//!   listed file is taken once its size and modification time have not changed for the settle time.
//! - A folder is listed again if its modification time shows that a name has changed, which is looked at every minute. A
//!   folder for which inotify has no watch left is listed every ten seconds.
//! - Hidden files and folders, the subfolders for finished files, and names that end in `.part`, `.tmp`, `.crdownload` or
//!   `~` are ignored. Links to folders are not followed.
//! - A file that is [not accepted](FolderOptions::accepts_file), is empty for a minute, or is not a file stays where it
//!   is. It is counted, and named by [`CaptureError::UnknownFile`].
//! - An unchanged file is not taken again until it is [done](TakenFile::mark_done) or the agent restarts. Every file
//!   is therefore taken at least once, and possibly twice after a crash, unless the caller remembers the
//!   inputs that it [stored](FolderSource::finish_stored). A file that is done and cannot be put away is tried again
//!   every ten seconds.
//! - A file during whose [reading](TakenFile::begin_reading) the agent ended twice is set aside: it is moved into the
//!   subfolder `refused`, or recorded as refused. Otherwise a file that ends the agent would end it at every start,
//!   and the files behind it would never be read.
//! - The folders for finished files are [bounded](KeepBounds).
//! - A folder that is moved, removed or unmounted is watched again once a folder of this path exists.
//!
//! The number of waiting files is limited; if there are more, the folder is listed again later. Only the
//! names of files that were taken and are not done, those recorded by [`DoneAction::Remember`], the names of
//! subfolders, and eight bytes per file that is not accepted grow with the folder.

mod done_list;
mod file_line;
mod fingerprint;
mod finish;
mod ignored_name;
mod kept;
mod listing;
mod options;
mod place;
mod reading_list;
mod survey;
mod tree;
mod unknown;
mod waiting;
mod watch;

use std::{
    collections::{HashMap, VecDeque},
    fs,
    os::{fd::AsFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

pub use finish::{DoneAction, ReadingMark, TakenFile};
pub use kept::KeepBounds;
pub use options::FolderOptions;
pub use survey::{FolderSurvey, survey_folder};

use self::{
    fingerprint::Fingerprint,
    finish::{FolderBounds, FolderFiles},
    ignored_name::is_ignored_path,
    tree::{Entry, Tree},
    unknown::UnknownFiles,
    waiting::WaitingFiles,
    watch::{FolderChange, FolderWatch},
};
use crate::{CaptureError, Captured, CapturedInput, InputCounts, Source, SourceContext, stop::WaitOutcome};

/// Maximum number of waiting files.
const MAX_WAITING_FILES: usize = 4096;
/// Maximum number of problems that wait to be reported.
const MAX_PROBLEMS: usize = 16;
/// Time without a change after which a file is taken that was created and not closed.
const OPEN_SETTLE_TIME: Duration = Duration::from_mins(10);
/// Time after which a file that is still empty counts as unknown.
const EMPTY_SETTLE_TIME: Duration = Duration::from_mins(1);
/// Interval at which the folder's identity is checked, files are put away that could not be, and folders without a watch
/// are listed.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Interval at which the modification times of the folders are checked.
const RESCAN_INTERVAL: Duration = Duration::from_mins(1);

/// The folder as a source of [`CapturedInput::File`].
pub struct FolderSource {
    context: SourceContext,
    tree: Tree,
    settle_time: Duration,
    accepts_file: Box<dyn Fn(&Path) -> bool + Send>,
    refusal: String,
    /// The watch of the folder; `None` if the system does not have any left.
    watch: Option<FolderWatch>,
    files: Arc<FolderFiles>,
    waiting: WaitingFiles,
    unknown: UnknownFiles,
    /// The folders, with the times of their last modification before they were listed.
    folders: HashMap<PathBuf, SystemTime>,
    /// Whether the folder may contain files that are not known yet.
    needs_listing: bool,
    /// Whether some folder does not have a watch.
    has_unwatched: bool,
    is_gone: bool,
    check_at: Duration,
    rescan_at: Duration,
    /// Problems that prevent none of the inputs, to be reported one after the other.
    problems: VecDeque<CaptureError>,
    /// The problems of the last listing, which are not reported again.
    listing_problems: Vec<String>,
    counts: InputCounts,
}

impl FolderSource {
    /// Starts to watch a folder.
    ///
    /// # Errors
    /// [`CaptureError::WatchFolder`] if the folder is missing or cannot be watched, [`CaptureError::InvalidSetting`] and
    /// [`CaptureError::FileOperation`] if `after` is not compatible with the folder.
    pub fn open(context: SourceContext, options: FolderOptions) -> Result<Self, CaptureError> {
        let (path, after) = (options.path, options.after);
        // Watching before listing means that a file that arrives in between is seen twice and taken once.
        let mut problems = VecDeque::new();
        let watch = open_watch(&Tree::new(&path, false, None), &mut problems)?;
        let tree = Tree::new(&path, options.is_recursive, after.folder());
        let bounds = FolderBounds { done: options.keep_done, failed: options.keep_failed };
        let files = Arc::new(FolderFiles::open(&path, after, bounds)?);
        let has_unwatched = watch.is_none();
        Ok(Self {
            context,
            tree,
            settle_time: options.settle_time,
            accepts_file: options.accepts_file,
            refusal: options.refusal,
            watch,
            files,
            waiting: WaitingFiles::default(),
            unknown: UnknownFiles::default(),
            folders: HashMap::new(),
            needs_listing: true,
            has_unwatched,
            is_gone: false,
            check_at: Duration::ZERO,
            rescan_at: Duration::ZERO,
            problems,
            listing_problems: Vec::new(),
            counts: InputCounts::default(),
        })
    }

    /// Marks those present files as [done](TakenFile::mark_done) whose inputs are all stored, because the agent
    /// stopped before it could do so. Returns the [keys](TakenFile::file_key) of the other files. A file that cannot be
    /// put away is reported by [`next`](Source::next), and tried again later.
    ///
    /// # Errors
    /// [`CaptureError::FileOperation`] if the folder cannot be listed.
    pub fn finish_stored(&mut self, is_stored: impl Fn(u64) -> bool) -> Result<Vec<u64>, CaptureError> {
        let (mut unfinished, mut stored) = (Vec::new(), Vec::new());
        let tree = &self.tree;
        // The listing reports subfolders that cannot be read.
        tree.walk(Path::new(""), &mut |relative, entry| {
            let Entry::File(fingerprint) = entry else { return };
            match Fingerprint::file_key(&tree.path(relative)) {
                Some(key) if is_stored(key) => stored.push((relative.to_owned(), fingerprint)),
                Some(key) => unfinished.push(key),
                None => {}
            }
        })?;
        for (relative, fingerprint) in stored {
            let path = self.tree.path(&relative);
            let Some(file) = self.files.take(relative.into_os_string(), path, fingerprint) else { continue };
            tracing::info!(source = &*self.context.name, file = %file.path().display(), "file was stored completely before the last stop");
            if let Err(problem) = file.mark_done() {
                self.report(problem);
            }
        }
        Ok(unfinished)
    }

    /// Keeps a problem to be reported. If there are too many, the others are in the log.
    fn report(&mut self, problem: CaptureError) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push_back(problem);
        } else {
            tracing::warn!(source = &*self.context.name, error = %problem, "a file or folder cannot be used");
        }
    }

    /// Watches the folder anew if it was gone, and processes the pending inotify events.
    fn process_events(&mut self) -> Result<(), CaptureError> {
        if self.is_gone {
            self.watch = open_watch(&self.tree, &mut self.problems)?;
            (self.is_gone, self.needs_listing, self.has_unwatched) = (false, true, self.watch.is_none());
            tracing::info!(source = &*self.context.name, folder = %self.tree.root().display(), "the folder is watched again");
        }
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let (mut changes, mut needs_listing) = (Vec::new(), false);
        let drained = watch.drain(&self.tree, |change| {
            if changes.len() < MAX_WAITING_FILES || change == FolderChange::Gone {
                changes.push(change);
            } else {
                needs_listing = true;
            }
        });
        drained.map_err(CaptureError::system_error("read the changes in a folder"))?;
        self.needs_listing |= needs_listing;
        let now = self.context.clock.now();
        for change in changes {
            self.note_change(change, now);
        }
        if self.is_gone { Err(self.gone()) } else { Ok(()) }
    }

    fn gone(&self) -> CaptureError {
        CaptureError::FolderGone { path: self.tree.root().to_owned() }
    }

    fn note_change(&mut self, change: FolderChange, now: Duration) {
        match change {
            FolderChange::Closed(path) => self.note_file(path, self.settle_time, now),
            FolderChange::MovedIn(path) => self.note_file(path, Duration::ZERO, now),
            FolderChange::Created(path) => {
                if let Some(settle_time) = self.created_settle_time(&path) {
                    self.note_file(path, settle_time, now);
                }
            }
            FolderChange::Subfolder(path) => self.needs_listing |= self.tree.has_folder(&path),
            FolderChange::Overflow => self.needs_listing = true,
            FolderChange::Gone => self.is_gone = true,
        }
    }

    /// Returns the time for which a name that was just created must not change. A link has no writer who would close it;
    /// a file is taken when it is closed.
    fn created_settle_time(&self, relative: &Path) -> Option<Duration> {
        let metadata = fs::symlink_metadata(self.tree.path(relative)).ok()?;
        let is_link = metadata.is_symlink() || metadata.nlink() > 1;
        Some(if is_link { self.settle_time } else { self.settle_time.max(OPEN_SETTLE_TIME) })
    }

    /// Lets a file wait until it has not changed for a while.
    fn note_file(&mut self, relative: PathBuf, settle_time: Duration, now: Duration) {
        if is_ignored_path(&relative) {
            return;
        }
        let Some(fingerprint) = Fingerprint::read_fingerprint(&self.tree.path(&relative)) else { return };
        if self.waiting.len() >= MAX_WAITING_FILES && !self.waiting.contains(&relative) {
            self.needs_listing = true;
            return;
        }
        self.waiting.begin(relative, fingerprint, settle_time_of(fingerprint, settle_time), now);
    }

    /// Returns the next file that can be taken now.
    fn next_ready(&mut self) -> Result<Option<Captured>, CaptureError> {
        let now = self.context.clock.now();
        loop {
            let tree = &self.tree;
            let settled = self.waiting.take(now, |path| Fingerprint::read_fingerprint(&tree.path(path)));
            let Some((relative, fingerprint)) = settled else { return Ok(None) };
            let path = tree.path(&relative);
            if self.files.is_known(relative.as_os_str(), fingerprint) {
                continue;
            }
            if let Some(reason) = self.refusal(&path, fingerprint) {
                match self.unknown.add(&relative, Some(fingerprint), path, &reason) {
                    Some(error) => return Err(error),
                    None => continue,
                }
            }
            if let Some(file) = self.files.take(relative.into_os_string(), path, fingerprint) {
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

    /// Returns the reason why a complete file is not an input; `None` if it is one.
    fn refusal(&self, path: &Path, fingerprint: Fingerprint) -> Option<String> {
        if fingerprint.is_empty() {
            return Some("it is empty: write it again, or remove it".to_owned());
        }
        (!(self.accepts_file)(path)).then(|| self.refusal.clone())
    }

    /// Does what is due from time to time.
    fn check(&mut self, now: Duration) -> Result<(), CaptureError> {
        self.check_at = now + CHECK_INTERVAL;
        if self.watch.as_ref().is_some_and(|watch| !watch.is_current(&self.tree)) {
            self.is_gone = true;
            return Err(self.gone());
        }
        if self.watch.is_none() {
            // The limit may have been raised. The listing below watches the subfolders.
            self.watch = FolderWatch::open(&self.tree).ok();
        }
        if let Err(error) = self.files.retry_unsettled() {
            // It was reported when it happened first.
            tracing::debug!(source = &*self.context.name, %error, "a file still cannot be put away");
        }
        self.prune_kept(now);
        if self.has_unwatched {
            self.needs_listing = true;
        } else if now >= self.rescan_at {
            self.rescan_at = now + RESCAN_INTERVAL;
            let is_changed = |(folder, listed): (&PathBuf, &SystemTime)| {
                let modified = fs::metadata(self.tree.path(folder)).and_then(|metadata| metadata.modified());
                modified.ok() != Some(*listed)
            };
            self.needs_listing |= self.folders.iter().any(is_changed);
        }
        Ok(())
    }

    /// Removes the oldest of the finished files if there are more than is to be kept.
    fn prune_kept(&mut self, now: Duration) {
        let source = &*self.context.name;
        for (folder, pruned) in self.files.prune_kept(now, self.context.clock.time_of_day()) {
            let (folder, files, bytes) = (folder.display(), pruned.files, pruned.bytes);
            self.counts.removed += files;
            if files > 0 {
                tracing::info!(source, %folder, files, bytes, "the oldest files were removed to keep the folder within its bounds");
            }
            if let Some((file, error)) = pruned.error {
                tracing::warn!(source, file = %file.display(), %error, "a file cannot be removed, and the folder exceeds its bounds");
            }
        }
    }

    /// Waits for a change in the folder or the next time at which something is due. Returns whether it was stopped.
    fn wait(&self) -> Result<bool, CaptureError> {
        self.context.state_counts(self.input_counts());
        let clock = &*self.context.clock;
        let due_at = self.waiting.due_at().map_or(self.check_at, |due_at| due_at.min(self.check_at));
        let timeout = due_at.saturating_sub(clock.now());
        let watch = self.watch.as_ref().map(AsFd::as_fd);
        let outcome = self.context.stop.wait(watch, clock, Some(timeout));
        Ok(outcome.map_err(CaptureError::system_error("wait for a file"))? == WaitOutcome::Stopped)
    }
}

impl Source for FolderSource {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        while !self.context.stop.is_stopped() {
            if let Some(problem) = self.problems.pop_front() {
                return Err(problem);
            }
            self.process_events()?;
            let now = self.context.clock.now();
            if now >= self.check_at {
                self.check(now)?;
            }
            if let Some(captured) = self.next_ready()? {
                return Ok(Some(captured));
            }
            if self.needs_listing && self.waiting.len() <= MAX_WAITING_FILES / 2 {
                self.list(now)?;
            } else if self.wait()? {
                break;
            }
        }
        Ok(None)
    }

    fn input_counts(&self) -> InputCounts {
        InputCounts { unknown: self.unknown.count(), unmoved: self.files.unsettled_count(), ..self.counts }
    }
}

/// Watches a folder. If the system does not have any watches left, that is a problem, and the folder is listed instead.
fn open_watch(
    tree: &Tree,
    problems: &mut VecDeque<CaptureError>,
) -> Result<Option<FolderWatch>, CaptureError> {
    match FolderWatch::open(tree) {
        Err(error) if watch::is_limit(&error) => {
            problems.push_back(error);
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// Returns the time for which a file must not change: an empty one is probably about to be written.
fn settle_time_of(fingerprint: Fingerprint, settle_time: Duration) -> Duration {
    if fingerprint.is_empty() { settle_time.max(EMPTY_SETTLE_TIME) } else { settle_time }
}
