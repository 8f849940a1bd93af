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
}
