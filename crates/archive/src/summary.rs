/// The sums over all devices of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveSummary {
    /// Number of devices.
    pub devices: u64,
    /// Number of devices without a contact since the given time.
    pub silent: u64,
    /// Number of frames in the archive.
    pub frames: u64,
    /// Bytes of the frames in the archive.
    pub bytes: u64,
    /// Bytes that the archive occupies on disk, as [`Archive::size_bytes`](crate::Archive::size_bytes) returns them.
    pub disk_bytes: u64,
    /// Number of devices of which batches were refused because of a conflict.
    pub conflicting: u64,
    /// Number of devices that have continued an epoch next to a newer one.
    pub alternating: u64,
    /// Number of devices with connections that a newer one has displaced.
    pub displaced: u64,
    /// Number of devices with lost records that have not come again.
    pub losing: u64,
    /// Time of the arrival of the newest frame, in microseconds since 1970; `None` without frames.
    pub newest_received_us: Option<i64>,
}
