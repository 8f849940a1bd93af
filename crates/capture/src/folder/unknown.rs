//! Files of a watched folder that are not inputs: each is counted and named once, and stays where it is.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

use super::fingerprint::Fingerprint;
use crate::CaptureError;

/// Maximum number of files that are known. If there are more, all are counted again.
const MAX_KNOWN: usize = 1 << 20;
/// Number of files that are named one by one; after that, every doubling is.
const NAMED_FILES: u64 = 16;

/// Files that are not inputs.
#[derive(Debug, Default)]
pub(crate) struct UnknownFiles {
    /// Digests of the paths and states of the known files.
    known: HashSet<u64>,
    count: u64,
}

impl UnknownFiles {
    /// Returns the number of files so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns whether this file is known in this state; `None` for something that is not a file.
    pub(crate) fn contains(&self, relative: &Path, fingerprint: Option<Fingerprint>) -> bool {
        self.known.contains(&digest(relative, fingerprint))
    }

    /// Counts a file, unless it is known. Returns the error that names it, if it is to be named.
    pub(crate) fn add(
        &mut self,
        relative: &Path,
        fingerprint: Option<Fingerprint>,
        path: PathBuf,
        reason: &str,
    ) -> Option<CaptureError> {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        if !self.known.insert(digest(relative, fingerprint)) {
            return None;
        }
        self.count += 1;
        let is_named = self.count <= NAMED_FILES || self.count.is_power_of_two();
        let (reason, count) = (reason.to_owned(), self.count);
        is_named.then_some(CaptureError::UnknownFile { path, reason, count })
    }
}

fn digest(relative: &Path, fingerprint: Option<Fingerprint>) -> u64 {
    let state = fingerprint.map(|state| (state.seconds, state.nanoseconds, state.size_bytes));
    let mut hasher = DefaultHasher::new();
    (relative, state).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_counted_once_and_the_first_ones_are_named() {
        let mut files = UnknownFiles::default();
        let mut named = 0;
        for number in 0..100 {
            let path = PathBuf::from(number.to_string());
            for _ in 0..2 {
                named += u64::from(files.add(&path, None, path.clone(), "it is odd").is_some());
            }
            assert!(files.contains(&path, None));
        }
        assert_eq!((files.count(), named), (100, NAMED_FILES + 2));
        let changed = Fingerprint { seconds: 1, nanoseconds: 0, size_bytes: 1 };
        assert!(!files.contains(Path::new("0"), Some(changed)));
    }
}
