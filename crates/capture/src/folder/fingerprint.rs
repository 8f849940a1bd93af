use std::{
    fs::{self, Metadata},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};

/// Fingerprint that distinguishes a file from an earlier one of the same name. Fingerprints are ordered by
/// modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint {
    /// Time of the last modification, in whole Unix seconds.
    pub(crate) seconds: i64,
    /// The fraction of that second, in nanoseconds.
    pub(crate) nanoseconds: u32,
    /// Size in bytes.
    pub(crate) size_bytes: u64,
}

impl Fingerprint {
    /// Returns the fingerprint of a regular file, or of the one that a link leads to; `None` for everything else.
    pub(crate) fn read_fingerprint(path: &Path) -> Option<Self> {
        Self::of_metadata(&fs::metadata(path).ok()?)
    }

    /// Returns the fingerprint of a regular file; `None` for everything else.
    pub(crate) fn of_metadata(metadata: &Metadata) -> Option<Self> {
        let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or_default();
        let fingerprint = Self { seconds: metadata.mtime(), nanoseconds, size_bytes: metadata.len() };
        metadata.is_file().then_some(fingerprint)
    }

    /// Returns whether the file has no content.
    pub(crate) fn is_empty(self) -> bool {
        self.size_bytes == 0
    }

    /// Returns a key that differs between all files and changes with any modification of a file, a rename
    /// included. It is a hash of the path, which tells the links of one file apart, and of device, inode, size, and
    /// the times of the last modification and status change. Returns `None` if the file does not exist.
    pub(crate) fn file_key(path: &Path) -> Option<u64> {
        let metadata = fs::metadata(path).ok()?;
        let numbers = [
            metadata.dev().cast_signed(),
            metadata.ino().cast_signed(),
            metadata.size().cast_signed(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ];
        let mut digest = Sha256::new();
        digest.update(path.as_os_str().as_bytes());
        for number in numbers {
            digest.update(number.to_le_bytes());
        }
        digest.finalize().first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// Returns the time of the last modification.
    pub(crate) fn modified_at(self) -> SystemTime {
        let seconds = u64::try_from(self.seconds).unwrap_or_default();
        UNIX_EPOCH.checked_add(Duration::new(seconds, self.nanoseconds)).unwrap_or(UNIX_EPOCH)
    }
}
