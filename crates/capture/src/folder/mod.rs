//! A watched folder: its files, each when it is finished, the oldest first.
//!
//! - A file is finished when whoever wrote it has closed it, or moved it in. inotify tells.
//! - What lies there at the start, or was missed because too much happened at once, is found by listing the folder. It
//!   cannot be told from a file that is still written, so it is taken when its size and modification time have not
//!   changed for a while.
//! - Hidden files, empty ones, subfolders, and names that end in `.part`, `.tmp`, `.crdownload` or `~` are left alone.
//! - A file that was taken is not taken again while it is unchanged, until it was [done](Taken::done) or the agent
//!   starts anew. So every file is taken at least once, and after a crash perhaps twice, unless whoever takes it
//!   remembers what was [stored](Folder::finish_stored).
//!
//! Waiting files are held up to a number; of more, the folder is listed again later. What grows with the folder are the
//! names of files that were taken and not done, and those that [`After::Remember`] remembers.

mod finish;
mod place;
mod print;
mod remembered;
mod scan;
mod watch;

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs,
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use finish::{After, Taken};

use self::{
    finish::Desk,
    print::Print,
    scan::Settling,
    watch::{Change, Watch},
};
use crate::{CaptureError, Captured, Context, Counted, Source, What, stop::Woken};

/// The most files that wait at a time.
const MAX_WAITING: usize = 4096;

/// Which folder is watched, and how.
pub struct FolderOptions {
    /// The folder. Its subfolders are not watched.
    pub path: PathBuf,
    /// What becomes of a file that is done.
    pub after: After,
    /// For how long a file that was found by listing must not have changed; two seconds unless told.
    pub settle: Duration,
    /// Which files are wanted, by their names; all unless told.
    pub wanted: Box<dyn Fn(&Path) -> bool + Send>,
}

impl FolderOptions {
    /// All files of a folder.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, after: After) -> Self {
        Self { path: path.into(), after, settle: Duration::from_secs(2), wanted: Box::new(|_| true) }
    }
}

/// The folder as a source of [`What::File`].
pub struct Folder {
    context: Context,
    path: PathBuf,
    wanted: Box<dyn Fn(&Path) -> bool + Send>,
    watch: Watch,
    desk: Arc<Desk>,
    /// Names of files that were finished, in the order in which they were.
    finished: VecDeque<OsString>,
    settling: Settling,
    /// Whether there may be files that are not known of.
    to_list: bool,
    gone: bool,
    counted: Counted,
}

impl Folder {
    /// Begins to watch.
    ///
    /// # Errors
    /// [`CaptureError::Watch`] for a folder that is missing or cannot be watched, [`CaptureError::Setting`] and
    /// [`CaptureError::File`] for an [`After`] that does not fit it.
    pub fn open(context: Context, options: FolderOptions) -> Result<Self, CaptureError> {
        let FolderOptions { path, after, settle, wanted } = options;
        // Watched before it is listed: what comes in between is seen twice, and taken once.
        let watch = Watch::open(&path)?;
        Ok(Self {
            context,
            desk: Arc::new(Desk::open(&path, after)?),
            path,
            wanted,
            watch,
            finished: VecDeque::new(),
            settling: Settling::new(settle),
            to_list: true,
            gone: false,
            counted: Counted::default(),
        })
    }

    /// Of the files that lie there, those whose inputs are all stored are [done](Taken::done): whoever stored them had no
    /// time to say so. The [keys](Taken::key) of the others.
    ///
    /// # Errors
    /// [`CaptureError::File`].
    pub fn finish_stored(&self, is_stored: impl Fn(u64) -> bool) -> Result<Vec<u64>, CaptureError> {
        let failed = || CaptureError::file("list", &self.path);
        let mut others = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let (name, path) = (entry.file_name(), entry.path());
            let (Some(print), Some(key)) = (Print::of(&path), Print::key_of(&path)) else { continue };
            if !self.is_wanted(&name) {
                continue;
            }
            if !is_stored(key) {
                others.push(key);
            } else if let Some(taken) = self.desk.take(name, path, print) {
                tracing::info!(source = &*self.context.name, file = %taken.path().display(), "stored before the stop");
                taken.done()?;
            }
        }
        Ok(others)
    }

    /// Takes note of what has happened.
    fn look(&mut self) -> Result<(), CaptureError> {
        let (finished, to_list, gone) = (&mut self.finished, &mut self.to_list, &mut self.gone);
        let drained = self.watch.drain(|change| match change {
            Change::Finished(name) if finished.len() < MAX_WAITING => finished.push_back(name),
            Change::Finished(_) | Change::Missed => *to_list = true,
            Change::Gone => *gone = true,
        });
        drained.map_err(CaptureError::system("read what has changed in a folder"))?;
        if self.gone { Err(CaptureError::FolderGone { path: self.path.clone() }) } else { Ok(()) }
    }

    /// The next file that can be taken now.
    fn ready(&mut self) -> Result<Option<Captured>, CaptureError> {
        loop {
            let now = self.context.clock.now();
            let path = &self.path;
            let settled = self.settling.take(now, |name| Print::of(&path.join(name)));
            let Some(name) = settled.or_else(|| self.finished.pop_front()) else { return Ok(None) };
            if !self.is_wanted(&name) {
                continue;
            }
            let path = self.path.join(&name);
            let Some(print) = Print::of(&path) else { continue };
            if let Some(taken) = self.desk.take(name, path, print) {
                self.counted.captured += 1;
                let source = self.context.name.clone();
                return Ok(Some(Captured { at: print.modified(), source, what: What::File(taken) }));
            }
        }
    }

    fn is_wanted(&self, name: &OsStr) -> bool {
        !is_ignored(name) && (self.wanted)(Path::new(name))
    }

    fn list(&mut self) -> Result<(), CaptureError> {
        let fits = |name: &OsStr, print| self.is_wanted(name) && !self.desk.knows(name, print);
        let (found, more) = scan::list(&self.path, MAX_WAITING, fits)?;
        self.settling.begin(found, self.context.clock.now());
        self.to_list = more;
        Ok(())
    }
}

impl Source for Folder {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        while !self.context.stop.is_stopped() {
            self.look()?;
            if let Some(captured) = self.ready()? {
                return Ok(Some(captured));
            }
            if self.to_list && self.settling.is_empty() {
                self.list()?;
                continue;
            }
            let clock = &*self.context.clock;
            let time = self.settling.due().map(|due| due.saturating_sub(clock.now()));
            let woken = self.context.stop.wait(Some(self.watch.as_fd()), clock, time);
            if woken.map_err(CaptureError::system("wait for a file"))? == Woken::Stopped {
                break;
            }
        }
        Ok(None)
    }

    fn counted(&self) -> Counted {
        self.counted
    }
}

/// Whether a name is that of a file under way, or hidden.
fn is_ignored(name: &OsStr) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    name.starts_with(b".")
        || [&b".part"[..], b".tmp", b".crdownload", b"~"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unfinished_files_are_ignored() {
        for name in [".hidden", "a.part", "a.jpg.TMP", "a.crdownload", "a.txt~"] {
            assert!(is_ignored(OsStr::new(name)), "{name}");
        }
        assert!(!is_ignored(OsStr::new("part.jpg")));
    }
}
