use crate::DeviceClock;

/// A device that has connected or sent a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The name of the device.
    pub name: String,
    /// Time of the first contact by the server's clock, in microseconds since 1970.
    pub first_seen_us: i64,
    /// Time of the last contact by the server's clock, in microseconds since 1970.
    pub last_seen_us: i64,
    /// Number of frames ever applied, including those that were deleted since.
    pub applied: u64,
    /// Number of frames in the archive.
    pub frames: u64,
    /// Bytes of the frames in the archive.
    pub bytes: u64,
    /// Approximate bytes that these frames occupy on disk: the frames, the names of their sources, their traces, their
    /// marks, and their rows with the indices. Quotas and the limit of the archive's size count these bytes.
    pub stored_bytes: u64,
    /// The clock of the device when it connected last.
    pub clock: DeviceClock,
    /// Number of batches that were refused because a record in them has the identity of an archived record with
    /// another digest.
    pub conflicts: u64,
    /// Number of batches that continued an epoch of a spool next to a newer epoch.
    pub alternations: u64,
    /// Number of connections that a newer connection of the device has displaced.
    pub displaced: u64,
    /// Number of records that the archive had acknowledged before it was set back to an earlier state, and that have
    /// not come again. Records that the device dropped among them are included.
    pub lost: u64,
}
