/// A promise that the disk or the receiver does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokenPromise {
    /// The sync of a segment does nothing.
    SegmentsNotSynced,
    /// The sync of the state does nothing.
    StateNotSynced,
    /// The sync of the folder does nothing.
    FolderNotSynced,
    /// A failed sync reports success.
    FailuresHidden,
    /// Half of a block is written, and the call reports success.
    ShortWrites,
    /// A segment is removed before the state on disk allows it.
    RemovedBeforeState,
    /// Blocks count as intact whatever their checksums are.
    ChecksumsNotRead,
    /// Files are not truncated.
    NotCutOff,
    /// Files are not removed.
    FilesStay,
    /// The state always overwrites the same slot.
    OneSlot,
    /// Every other state is not written.
    StateNotWritten,
    /// Bytes that the file already contains are not written again.
    SameBytesNotWritten,
    /// A lock does not exclude other callers.
    LockNotTaken,
    /// A file that another program has removed counts as current.
    RemovalsNotSeen,
    /// The receiver does not report the epochs of the records that it has.
    EpochsHidden,
    /// The receiver does not report the records that it has lost.
    LossHidden,
}

impl BrokenPromise {
    /// All promises.
    pub(super) const ALL: [Self; 16] = [
        Self::SegmentsNotSynced,
        Self::StateNotSynced,
        Self::FolderNotSynced,
        Self::FailuresHidden,
        Self::ShortWrites,
        Self::RemovedBeforeState,
        Self::ChecksumsNotRead,
        Self::NotCutOff,
        Self::FilesStay,
        Self::OneSlot,
        Self::StateNotWritten,
        Self::SameBytesNotWritten,
        Self::LockNotTaken,
        Self::RemovalsNotSeen,
        Self::EpochsHidden,
        Self::LossHidden,
    ];
}
