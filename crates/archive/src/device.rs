/// A device that has sent something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// When its first batch came, in microseconds since 1970 by the server's clock.
    pub first_seen_us: i64,
    /// When its last batch came.
    pub last_seen_us: i64,
    /// Frames ever applied, those deleted since included.
    pub applied: u64,
    /// Frames in the archive.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}
