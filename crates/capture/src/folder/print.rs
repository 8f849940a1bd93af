use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};

/// What tells a file from an earlier one of its name. The earlier modified one is the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Print {
    /// Seconds since 1970 of its last modification.
    pub(crate) seconds: i64,
    /// Nanoseconds to be added.
    pub(crate) nanoseconds: u32,
    /// Bytes.
    pub(crate) size: u64,
}

impl Print {
    /// That of a file with something in it; none of anything else.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(|metadata| metadata.is_file() && metadata.len() > 0)?;
        let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or_default();
        Some(Self { seconds: metadata.mtime(), nanoseconds, size: metadata.len() })
    }

    /// What tells a file, as it is, from all other files and from itself after any change, also one of its name alone:
    /// by device, inode, size and the times of its last modification and change. None of what is not there.
    pub(crate) fn key_of(path: &Path) -> Option<u64> {
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

    /// When the file was last written.
    pub(crate) fn modified(self) -> SystemTime {
        let seconds = u64::try_from(self.seconds).unwrap_or_default();
        UNIX_EPOCH.checked_add(Duration::new(seconds, self.nanoseconds)).unwrap_or(UNIX_EPOCH)
    }
}
