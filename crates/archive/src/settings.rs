use std::time::Duration;

/// Configuration of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Maximum age of a frame since its arrival; a sweep deletes older ones. `None` keeps frames of any age.
    pub max_age: Option<Duration>,
    /// Maximum [size of the archive](crate::Archive::size_bytes) on disk. A sweep deletes frames of the devices that
    /// occupy most of it, the oldest first, until all of them occupy the same or the archive is small enough. `None` is
    /// unlimited.
    pub max_bytes: Option<u64>,
    /// Maximum [bytes on disk](crate::Device::stored_bytes) per device; a sweep deletes the device's frames above it
    /// that arrived first. `None` is unlimited.
    pub max_device_bytes: Option<u64>,
    /// Maximum number of frames per device; a sweep deletes the device's frames above it that arrived first. `None` is
    /// unlimited.
    pub max_device_frames: Option<u64>,
    /// Maximum number of database connections: all of them for PostgreSQL, at least 2; only the readers for
    /// SQLite.
    pub max_connections: u32,
    /// Maximum wait for a connection, or for a lock that another process holds. With SQLite the wait for a
    /// connection may be 30 seconds longer.
    pub acquire_timeout: Duration,
    /// Number of frames that a subscriber may be behind, at least 1.
    pub feed_capacity: usize,
}

impl Default for Settings {
    /// Keeps everything.
    fn default() -> Self {
        Self {
            max_age: None,
            max_bytes: None,
            max_device_bytes: None,
            max_device_frames: None,
            max_connections: 8,
            acquire_timeout: Duration::from_secs(5),
            feed_capacity: 1024,
        }
    }
}
