use std::{
    fs,
    os::unix::fs::MetadataExt as _,
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
    /// Returns the fingerprint of a non-empty regular file; `None` for everything else.
    pub(crate) fn read_fingerprint(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(|metadata| metadata.is_file() && metadata.len() > 0)?;
        let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or_default();
        Some(Self { seconds: metadata.mtime(), nanoseconds, size_bytes: metadata.len() })
    }

    /// Returns a key that differs between all files and changes with any modification of a file, a rename
    /// included. It is a hash of device, inode, size, and the times of the last modification and status
    /// change. Returns `None` if the file does not exist.
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
