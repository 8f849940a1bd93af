use std::{ops::RangeInclusive, sync::Arc};

use async_trait::async_trait;
use lopside_delivery::Class;

use crate::{
    AppliedBatch, ArchiveError, Batch, Device, Frame, FrameMeta, FrameQuery, FramesSince, HeadKey,
    LatentSpaceKey, NewScore, SweepReport, UnscoredFrame,
};

/// A batch whose commit is durable.
#[derive(Debug)]
pub(crate) struct CommittedBatch {
    pub(crate) applied: AppliedBatch,
    /// The frames that are new in the archive.
    pub(crate) frames: Vec<Arc<FrameMeta>>,
}

/// The operations that a database provides to the archive. Each call is one transaction.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// Applies checked batches together, in this order. A single batch may be refused; an error means that
    /// none was applied.
    async fn apply(
        &self,
        batches: &[Batch],
        now_us: i64,
    ) -> Result<Vec<Result<CommittedBatch, ArchiveError>>, ArchiveError>;
    /// Registers a new connection of a device and returns its number.
    async fn register_connection(&self, device: &str, now_us: i64) -> Result<u64, ArchiveError>;
    async fn known_numbers(
        &self,
        device: &str,
        spool: u32,
        class: Class,
        from: u64,
    ) -> Result<Vec<RangeInclusive<u64>>, ArchiveError>;
    async fn devices(&self) -> Result<Vec<Device>, ArchiveError>;
    /// Returns the frames of a page, and one more if there is one.
    async fn list_frames(&self, query: &FrameQuery) -> Result<Vec<FrameMeta>, ArchiveError>;
    async fn read_frame(&self, id: i64) -> Result<Option<Frame>, ArchiveError>;
    async fn read_frame_bytes(&self, ids: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, ArchiveError>;
    async fn frames_since(
        &self,
        id: i64,
        device: Option<&str>,
        limit: u32,
    ) -> Result<FramesSince, ArchiveError>;
    async fn delete(&self, id: i64) -> Result<bool, ArchiveError>;
    async fn unscored_frames(
        &self,
        head: &HeadKey,
        spaces: &[LatentSpaceKey],
        limit: u32,
    ) -> Result<Vec<UnscoredFrame>, ArchiveError>;
    async fn put_scores(&self, head: &HeadKey, scores: &[NewScore]) -> Result<u64, ArchiveError>;
    /// Deletes some of the oldest frames: those archived before `horizon_us`, and as many as bring the rest
    /// down to `max_bytes`. A result of 0 frames means that nothing is left to delete.
    async fn sweep(&self, horizon_us: i64, max_bytes: u64) -> Result<SweepReport, ArchiveError>;
    /// Checks that the database answers, and that its files are the ones that its path names.
    async fn check_read(&self) -> Result<(), ArchiveError>;
    /// Checks that the database stores what is committed, by a small write.
    async fn check_write(&self, now_us: i64) -> Result<(), ArchiveError>;
    async fn close(&self);
}
