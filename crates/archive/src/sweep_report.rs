/// Frames that were deleted for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeletedFrames {
    /// Number of deleted frames.
    pub frames: u64,
    /// Bytes of the deleted frames.
    pub bytes: u64,
}

/// The frames that a sweep has deleted, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Frames over the maximum age.
    pub expired: DeletedFrames,
    /// Frames of devices with more frames or bytes than a device may have.
    pub over_quota: DeletedFrames,
    /// Frames that were deleted because the archive was too large.
    pub over_size: DeletedFrames,
}

impl SweepReport {
    /// Returns the sums over all reasons.
    #[must_use]
    pub fn total(&self) -> DeletedFrames {
        let reasons = [self.expired, self.over_quota, self.over_size];
        DeletedFrames {
            frames: reasons.iter().map(|deleted| deleted.frames).sum(),
            bytes: reasons.iter().map(|deleted| deleted.bytes).sum(),
        }
    }
}
