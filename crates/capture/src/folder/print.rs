use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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

    /// When the file was last written.
    pub(crate) fn modified(self) -> SystemTime {
        let seconds = u64::try_from(self.seconds).unwrap_or_default();
        UNIX_EPOCH.checked_add(Duration::new(seconds, self.nanoseconds)).unwrap_or(UNIX_EPOCH)
    }
}
