use std::sync::Arc;

use async_trait::async_trait;
use lopside_delivery::Class;

use crate::{
    AppliedBatch, ArchiveError, ArchiveIdentity, ArchiveSummary, AuditEntry, AuditEvent, Batch,
    DeletedFrames, Device, Frame, FrameMeta, FrameQuery, FramesSince, HeadKey, KnownNumbers, LatentSpaceKey,
    NewConnection, NewScore, RegisteredConnection, UnscoredFrame,
    quota::{ArchiveUsage, Eviction},
};

/// Checked requests that share a transaction. The connections are registered before the batches are applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteGroup<'a> {
    pub(crate) connections: &'a [NewConnection],
    pub(crate) batches: &'a [Batch],
}

/// The results of a group whose commit is durable, in the order of its requests.
#[derive(Debug)]
pub(crate) struct GroupOutcome {
    pub(crate) connections: Vec<RegisteredConnection>,
    /// A single batch may be refused.
    pub(crate) batches: Vec<Result<CommittedBatch, ArchiveError>>,
}

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
    fn identity(&self) -> ArchiveIdentity;
    /// Writes a group. An error means that nothing of it was written.
    async fn write(&self, group: WriteGroup<'_>, now_us: i64) -> Result<GroupOutcome, ArchiveError>;
    /// Returns the numbers of some classes of a spool, each from a number on, that the archive does not need.
    async fn known_numbers(
        &self,
        device: &str,
        spool: u32,
        lanes: &[(Class, u64)],
    ) -> Result<Vec<KnownNumbers>, ArchiveError>;
    async fn devices(&self) -> Result<Vec<Device>, ArchiveError>;
    /// Returns the first devices whose names come after this one.
    async fn devices_after(&self, name: &str, limit: u32) -> Result<Vec<Device>, ArchiveError>;
    /// Returns the sums over all devices. Devices without a contact since then are silent.
    async fn summarise(&self, silent_before_us: i64) -> Result<ArchiveSummary, ArchiveError>;
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
    /// Returns what the archive and its devices occupy.
    async fn usage(&self) -> Result<ArchiveUsage, ArchiveError>;
    /// Deletes some of the frames of a device that arrived first, as long as they are due. A result of 0 frames means
    /// that nothing is left to delete.
    async fn delete_oldest(&self, eviction: &Eviction) -> Result<DeletedFrames, ArchiveError>;
    /// Gives some of the free space back to the file system, and returns whether there is more.
    async fn release_space(&self) -> Result<bool, ArchiveError>;
    /// Adds a row to the audit log.
    async fn append_audit(&self, event: &AuditEvent, now_us: i64) -> Result<AuditEntry, ArchiveError>;
    /// Returns the newest rows of the audit log before a number.
    async fn list_audit(&self, before: u64, limit: u32) -> Result<Vec<AuditEntry>, ArchiveError>;
    /// Checks that the database answers, and that its files are the ones that its path names.
    async fn check_read(&self) -> Result<(), ArchiveError>;
    /// Checks that the database stores what is committed, by a small write.
    async fn check_write(&self, now_us: i64) -> Result<(), ArchiveError>;
    async fn close(&self);
}
