/// The result of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Number of deleted frames.
    pub frames: u64,
    /// Bytes of the deleted frames.
    pub bytes: u64,
}
