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

/// Lists the files of a folder that fit, by modification time and name, at most `most` of them. Also returns
/// whether there are more.
pub(crate) fn list(
    folder: &Path,
    most: usize,
    fits: impl Fn(&OsStr, Fingerprint) -> bool,
) -> Result<(BTreeSet<FoundFile>, bool), CaptureError> {
    let (mut found, mut more) = (BTreeSet::new(), false);
    for entry in fs::read_dir(folder).map_err(CaptureError::file_error("list", folder))? {
        let entry = entry.map_err(CaptureError::file_error("list", folder))?;
        let Some(fingerprint) = Fingerprint::read_fingerprint(&entry.path()) else { continue };
        if fits(&entry.file_name(), fingerprint) {
            found.insert((fingerprint, entry.file_name()));
        }
        if found.len() > most {
            found.pop_last();
            more = true;
        }
    }
    Ok((found, more))
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
    pub(crate) fn add_found(&mut self, found: BTreeSet<FoundFile>, now: Duration) {
        self.waiting.extend(found.into_iter().map(|found| (now, found)));
    }

    /// Returns the time at which the next file may be taken; `None` if no file waits.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.waiting.front().map(|(since, _)| *since + self.settle_time)
    }

    /// Takes a file that has not changed for long enough; `look` returns its current fingerprint, or `None`
    /// if it is gone.
    pub(crate) fn take(
        &mut self,
        now: Duration,
        look: impl Fn(&OsStr) -> Option<Fingerprint>,
    ) -> Option<OsString> {
        while self.due().is_some_and(|due| due <= now)
            && let Some((_, (before, name))) = self.waiting.pop_front()
        {
            match look(&name) {
                Some(fingerprint) if fingerprint == before => return Some(name),
                Some(fingerprint) => self.waiting.push_back((now, (fingerprint, name))),
                None => {}
            }
        }
        None
    }
}
