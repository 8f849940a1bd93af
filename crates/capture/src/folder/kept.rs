//! Folders for files that are done or could not be read, and the bounds on what is kept in them.
//!
//! The oldest files are removed first. The age of a file counts from the time at which it was put into the folder, which
//! its status change shows: a rename keeps the time of the modification. A time before 2020 is that of a clock that had
//! not been set, so such a file has no age.

use std::{
    collections::BinaryHeap,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Maximum depth of subfolders. It bounds the recursion.
const MAX_DEPTH: usize = 32;
/// The first second of 2020, before which no clock was set correctly.
const PLAUSIBLE_SECONDS: i64 = 1_577_836_800;
/// The part of the bound by which a folder may grow before it is looked through again.
const SLACK_PARTS: u64 = 16;
/// Time after which a folder is looked through in any case.
const PRUNE_INTERVAL: Duration = Duration::from_hours(1);

/// Bounds on the files of a folder; `None` sets no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepBounds {
    /// Maximum time since a file was put into the folder.
    pub max_age: Option<Duration>,
    /// Maximum size of all files together, in bytes.
    pub max_bytes: Option<u64>,
}

/// A folder and its bounds.
#[derive(Debug)]
pub(crate) struct KeptFolder {
    path: PathBuf,
    bounds: KeepBounds,
    /// Bytes that were added since the folder was last looked through.
    added_bytes: u64,
    /// The time at which the folder was last looked through; `None` before the first time.
    pruned_at: Option<Duration>,
}

/// The files that were removed from a folder.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// The first error, and the path of its file.
    pub(crate) error: Option<(PathBuf, io::Error)>,
}

impl KeptFolder {
    pub(crate) fn new(path: PathBuf, bounds: KeepBounds) -> Self {
        Self { path, bounds, added_bytes: 0, pruned_at: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Counts a file that was put into the folder.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.added_bytes = self.added_bytes.saturating_add(bytes);
    }

    /// Returns a copy of path and bounds if the folder is to be looked through now, and notes that it is.
    pub(crate) fn begin_prune(&mut self, now: Duration) -> Option<(PathBuf, KeepBounds)> {
        let KeepBounds { max_age, max_bytes } = self.bounds;
        let has_grown = max_bytes.is_some_and(|max_bytes| self.added_bytes >= max_bytes / SLACK_PARTS);
        let is_old = self.pruned_at.is_none_or(|pruned_at| now >= pruned_at + PRUNE_INTERVAL);
        if (max_age, max_bytes) == (None, None) || !(has_grown && self.added_bytes > 0 || is_old) {
            return None;
        }
        (self.added_bytes, self.pruned_at) = (0, Some(now));
        Some((self.path.clone(), self.bounds))
    }
}

/// Removes the oldest files of a folder until it is within its bounds, with room for some more.
pub(crate) fn prune(folder: &Path, bounds: KeepBounds, time: SystemTime) -> Pruned {
    // Whoever may write to the folder around it must not be able to direct the removal to another folder.
    if folder.is_symlink() {
        let error = io::Error::other("it is a symbolic link; configure the folder that it leads to");
        return Pruned { error: Some((folder.to_owned(), error)), ..Pruned::default() };
    }
    let (mut pruned, mut total_bytes) = (Pruned::default(), 0_u64);
    let now = seconds_since_epoch(time);
    let max_age = bounds.max_age.map(|age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    visit_files(folder, MAX_DEPTH, &mut |path, metadata| {
        let kept_since = kept_since(metadata);
        let age = if kept_since.0 < PLAUSIBLE_SECONDS { 0 } else { now.saturating_sub(kept_since.0) };
        if max_age.is_some_and(|max_age| age > max_age) {
            pruned.remove(folder, &path, metadata.len());
        } else {
            total_bytes += metadata.len();
        }
    });
    if let Some(max_bytes) = bounds.max_bytes
        && total_bytes > max_bytes
    {
        let target_bytes = max_bytes - max_bytes / SLACK_PARTS;
        for file in oldest_files(folder, total_bytes - target_bytes) {
            pruned.remove(folder, &file.path, file.bytes);
        }
    }
    pruned
}

impl Pruned {
    /// Removes a file, and the subfolders that are empty without it.
    fn remove(&mut self, folder: &Path, path: &Path, bytes: u64) {
        match fs::remove_file(path) {
            Ok(()) => {
                self.files += 1;
                self.bytes += bytes;
                let parents = path.ancestors().skip(1).take_while(|parent| *parent != folder);
                for parent in parents {
                    // A folder with other files stays.
                    if fs::remove_dir(parent).is_err() {
                        break;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.error.get_or_insert_with(|| (path.to_owned(), error));
            }
        }
    }
}

/// A file of a kept folder. The newest one is the greatest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KeptFile {
    kept_since: (i64, i64),
    path: PathBuf,
    bytes: u64,
}

/// Returns the oldest files that together have at least so many bytes, the oldest first.
fn oldest_files(folder: &Path, bytes: u64) -> Vec<KeptFile> {
    let (mut oldest, mut total) = (BinaryHeap::new(), 0);
    visit_files(folder, MAX_DEPTH, &mut |path, metadata| {
        total += metadata.len();
        oldest.push(KeptFile { kept_since: kept_since(metadata), path, bytes: metadata.len() });
        // The newest files are not needed if the others suffice.
        while oldest.peek().is_some_and(|newest: &KeptFile| total - newest.bytes >= bytes) {
            total -= oldest.pop().map_or(0, |newest| newest.bytes);
        }
    });
    oldest.into_sorted_vec()
}

/// Passes the files of a folder and its subfolders to `visit`. Hidden files are not among them, except copies that were
/// not completed. What cannot be listed is left alone.
fn visit_files(folder: &Path, depth: usize, visit: &mut dyn FnMut(PathBuf, &Metadata)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        let is_incomplete = is_hidden && name.as_encoded_bytes().ends_with(b".part");
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            if depth > 0 && !is_hidden {
                visit_files(&path, depth - 1, visit);
            }
        } else if !is_hidden || is_incomplete {
            visit(path, &metadata);
        }
    }
}

/// Returns the time at which a file was put into its folder, in Unix seconds and nanoseconds.
fn kept_since(metadata: &Metadata) -> (i64, i64) {
    let [changed, modified] =
        [(metadata.ctime(), metadata.ctime_nsec()), (metadata.mtime(), metadata.mtime_nsec())];
    changed.max(modified)
}

fn seconds_since_epoch(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn files(folder: &Path) -> Vec<String> {
        let mut names = Vec::new();
        visit_files(folder, MAX_DEPTH, &mut |path, _| {
            names.push(path.strip_prefix(folder).unwrap().display().to_string());
        });
        names.sort();
        names
    }

    /// Writes files of ten bytes, of which each is newer than the one before.
    fn write(folder: &Path, names: &[&str]) {
        let start = UNIX_EPOCH + Duration::from_hours(24 * 365 * 100);
        for (number, name) in (0..).zip(names) {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "0123456789").unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(start + Duration::from_secs(number)).unwrap();
        }
    }

    #[test]
    fn the_oldest_files_are_removed_until_the_bound_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["2026/01/a", "2026/02/b", "c", "2026/02/d", "e", ".list"]);
        let bounds = KeepBounds { max_bytes: Some(50), max_age: None };
        assert_eq!(prune(folder.path(), bounds, UNIX_EPOCH).files, 0);
        let bounds = KeepBounds { max_bytes: Some(32), max_age: None };
        let pruned = prune(folder.path(), bounds, UNIX_EPOCH);
        assert_eq!((pruned.files, pruned.bytes, pruned.error.is_none()), (2, 20, true));
        assert_eq!(files(folder.path()), ["2026/02/d", "c", "e"]);
        assert!(!folder.path().join("2026/01").exists() && folder.path().join(".list").exists());
    }

    #[test]
    fn files_are_removed_when_they_were_kept_for_their_time() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "x").unwrap();
        let bounds = KeepBounds { max_age: Some(30 * DAY), max_bytes: None };
        let now = SystemTime::now();
        assert_eq!(prune(folder.path(), bounds, now + 29 * DAY).files, 0);
        // A clock that is not set does no harm.
        assert_eq!(prune(folder.path(), bounds, UNIX_EPOCH).files, 0);
        assert_eq!(prune(folder.path(), bounds, now + 31 * DAY).files, 1);
        assert_eq!(prune(&folder.path().join("missing"), bounds, now).files, 0);
        fs::write(folder.path().join("b"), "x").unwrap();
        let link = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), link.path().join("link")).unwrap();
        let pruned = prune(&link.path().join("link"), bounds, now + 31 * DAY);
        assert!(pruned.files == 0 && pruned.error.is_some());
    }

    #[test]
    fn a_folder_is_looked_through_when_it_has_grown_or_an_hour_has_passed() {
        let mut kept = KeptFolder::new("a".into(), KeepBounds { max_age: None, max_bytes: Some(1600) });
        let mut is_due = |added, seconds| {
            kept.add(added);
            kept.begin_prune(Duration::from_secs(seconds)).is_some()
        };
        let due = [is_due(0, 0), is_due(99, 1), is_due(1, 2), is_due(0, 3), is_due(0, 3601), is_due(0, 3602)];
        assert_eq!(due, [true, false, true, false, false, true]);
        let mut unbounded = KeptFolder::new("a".into(), KeepBounds::default());
        unbounded.add(u64::MAX);
        assert!(unbounded.begin_prune(Duration::ZERO).is_none());
    }
}
