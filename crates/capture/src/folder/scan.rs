use std::{
    collections::{BTreeSet, VecDeque},
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    time::Duration,
};

use super::fingerprint::Fingerprint;
use crate::CaptureError;

/// A file that was found by listing.
pub(crate) type FoundFile = (Fingerprint, OsString);

/// Lists the wanted files of a folder, by modification time and name, at most `max_files` of them. Also returns
/// whether there are more.
pub(crate) fn list(
    folder: &Path,
    max_files: usize,
    is_wanted: impl Fn(&OsStr, Fingerprint) -> bool,
) -> Result<(BTreeSet<FoundFile>, bool), CaptureError> {
    let (mut files, mut has_more) = (BTreeSet::new(), false);
    for entry in fs::read_dir(folder).map_err(CaptureError::file_error("list", folder))? {
        let entry = entry.map_err(CaptureError::file_error("list", folder))?;
        let Some(fingerprint) = Fingerprint::read_fingerprint(&entry.path()) else { continue };
        if is_wanted(&entry.file_name(), fingerprint) {
            files.insert((fingerprint, entry.file_name()));
        }
        if files.len() > max_files {
            files.pop_last();
            has_more = true;
        }
    }
    Ok((files, has_more))
}

/// Files that are observed until they have not changed for a while.
#[derive(Debug)]
pub(crate) struct SettlingFiles {
    settle_time: Duration,
    /// Files with the time since which each has not changed, the longest first.
    waiting: VecDeque<(Duration, FoundFile)>,
}

impl SettlingFiles {
    pub(crate) fn new(settle_time: Duration) -> Self {
        Self { settle_time, waiting: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds files that were found now.
    pub(crate) fn add_found(&mut self, files: BTreeSet<FoundFile>, now: Duration) {
        self.waiting.extend(files.into_iter().map(|file| (now, file)));
    }

    /// Returns the time at which the next file may be taken; `None` if no file waits.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.waiting.front().map(|(since, _)| *since + self.settle_time)
    }

    /// Takes a file that has not changed for long enough; `read_fingerprint` returns its current fingerprint, or
    /// `None` if it is gone.
    pub(crate) fn take(
        &mut self,
        now: Duration,
        read_fingerprint: impl Fn(&OsStr) -> Option<Fingerprint>,
    ) -> Option<OsString> {
        while self.due().is_some_and(|due| due <= now)
            && let Some((_, (previous, name))) = self.waiting.pop_front()
        {
            match read_fingerprint(&name) {
                Some(fingerprint) if fingerprint == previous => return Some(name),
                Some(fingerprint) => self.waiting.push_back((now, (fingerprint, name))),
                None => {}
            }
        }
        None
    }
}
