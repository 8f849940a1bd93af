use std::{
    collections::{BTreeSet, VecDeque},
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    time::Duration,
};

use super::print::Print;
use crate::CaptureError;

/// A file that was found by listing.
pub(crate) type Found = (Print, OsString);

/// The files of a folder that fit, by modification time and name, at most `most` of them; and whether there are more.
pub(crate) fn list(
    folder: &Path,
    most: usize,
    fits: impl Fn(&OsStr, Print) -> bool,
) -> Result<(BTreeSet<Found>, bool), CaptureError> {
    let failed = || CaptureError::file("list", folder);
    let (mut found, mut more) = (BTreeSet::new(), false);
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let Some(print) = Print::of(&entry.path()) else { continue };
        if fits(&entry.file_name(), print) {
            found.insert((print, entry.file_name()));
        }
        if found.len() > most {
            found.pop_last();
            more = true;
        }
    }
    Ok((found, more))
}

/// Files that are looked at until they have not changed for a while.
#[derive(Debug)]
pub(crate) struct Settling {
    settle: Duration,
    /// With the time since which each was not seen to change, the longest first.
    waiting: VecDeque<(Duration, Found)>,
}

impl Settling {
    pub(crate) fn new(settle: Duration) -> Self {
        Self { settle, waiting: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// These were found now.
    pub(crate) fn begin(&mut self, found: BTreeSet<Found>, now: Duration) {
        self.waiting.extend(found.into_iter().map(|found| (now, found)));
    }

    /// When the next one may be taken.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.waiting.front().map(|(since, _)| *since + self.settle)
    }

    /// One that has not changed for long enough; `look` says how it is now, if it is still there.
    pub(crate) fn take(&mut self, now: Duration, look: impl Fn(&OsStr) -> Option<Print>) -> Option<OsString> {
        while self.due().is_some_and(|due| due <= now)
            && let Some((_, (before, name))) = self.waiting.pop_front()
        {
            match look(&name) {
                Some(print) if print == before => return Some(name),
                Some(print) => self.waiting.push_back((now, (print, name))),
                None => {}
            }
        }
        None
    }
}
