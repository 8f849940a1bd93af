use std::{fmt, sync::Arc};

use lopside_delivery::Class;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    AppliedBatch, ArchiveError, ArchiveIdentity, ArchiveState, ArchiveSummary, AuditCursor, AuditEntry,
    AuditEvent, AuditPage, AuditReport, Batch, Device, DeviceCursor, DevicePage, Frame, FrameMeta, FramePage,
    FrameQuery, FramesSince, HeadKey, KnownNumbers, LatentSpaceKey, MAX_PAGE_AUDIT_ENTRIES, MAX_PAGE_DEVICES,
    NewConnection, NewScore, RegisteredConnection, Settings, SweepReport, UnscoredFrame,
    backend::Backend,
    batch::MAX_NUMBER,
    open::{self, open_backend},
    state::StateMonitor,
    sweep,
    writer::{self, Reply, WriteJob, now_us},
};

/// The archive: see the [crate documentation](crate). All clones share one archive.
#[derive(Clone)]
pub struct Archive {
    backend: Arc<dyn Backend>,
    jobs: mpsc::Sender<WriteJob>,
    feed: broadcast::Sender<Arc<FrameMeta>>,
    state: Arc<StateMonitor>,
    settings: Settings,
}

impl Archive {
    /// Opens or creates the archive, and brings its schema up to date. The address is `sqlite:PATH`, the path
    /// of a file, or `postgres://USER:PASSWORD@HOST/NAME`.
    ///
    /// The call must be made within a tokio runtime, which then runs the task that writes.
    ///
    /// # Errors
    /// Returns [`ArchiveError::InvalidUrl`], [`Unreachable`](ArchiveError::Unreachable),
    /// [`TooNew`](ArchiveError::TooNew), [`Corrupt`](ArchiveError::Corrupt), or another error of the
    /// database.
    pub async fn open(url: &str, settings: Settings) -> Result<Self, ArchiveError> {
        let backend = open_backend(url, &settings).await?;
        let (feed, _) = broadcast::channel(settings.feed_capacity.max(1));
        let state = Arc::<StateMonitor>::default();
        let jobs = writer::start(Arc::clone(&backend), feed.clone(), Arc::clone(&state));
        Ok(Self { backend, jobs, feed, state, settings })
    }

    /// Returns the identity of the archive as of its opening. The generation stays as it was if the database did not
    /// store anything at that time.
    #[must_use]
    pub fn identity(&self) -> ArchiveIdentity {
        self.backend.identity()
    }

    /// Applies a batch, as a whole or not at all, and returns when it is durable. If the caller drops the
    /// future, the batch may still be applied; sending it again is always safe.
    ///
    /// # Errors
    /// Returns [`ArchiveError::Refused`], which is permanent; [`ArchiveError::Conflict`];
    /// [`ArchiveError::Superseded`]; or any error of the database, after which the batch must be sent again.
    pub async fn apply(&self, batch: Batch) -> Result<AppliedBatch, ArchiveError> {
        batch.check()?;
        self.write(|reply| WriteJob::Batch(batch, reply)).await
    }

    /// Registers a new connection of a device and returns its [number](Batch::connection), which the batches of this
    /// connection carry. From then on no batch of an older connection to any server is applied, so the answer of
    /// [`known_numbers`](Self::known_numbers) stays complete until this connection sends more.
    ///
    /// If the archive knows of no number as high as the acknowledged ones, it was set back to an earlier state, and
    /// the numbers between are [lost](RegisteredConnection::lost) until they come again.
    ///
    /// # Errors
    /// Returns [`ArchiveError::Refused`] for an invalid device name or number, or an error of the database.
    pub async fn register_connection(
        &self,
        connection: NewConnection,
    ) -> Result<RegisteredConnection, ArchiveError> {
        connection.check()?;
        self.write(|reply| WriteJob::Connection(connection, reply)).await
    }

    /// Hands a request to the writer, and waits until it is durable.
    async fn write<T>(&self, job: impl FnOnce(Reply<T>) -> WriteJob) -> Result<T, ArchiveError> {
        let (reply, outcome) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| self.state.writer_failure())?;
        outcome.await.map_err(|_| self.state.writer_failure())?
    }

    /// Returns the numbers of a device's spool that need not be sent, for each of the given classes from a number
    /// on, and separately for each epoch: a spool that was copied or set back to an earlier state uses numbers again
    /// in another epoch. These are the applied numbers and all numbers up to the floor of the epoch, whether they
    /// were applied or dropped. A caller whose number is above the floors gets applied numbers only.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn known_numbers(
        &self,
        device: &str,
        spool: u32,
        lanes: &[(Class, u64)],
    ) -> Result<Vec<KnownNumbers>, ArchiveError> {
        let lanes: Vec<_> = lanes.iter().map(|&(class, from)| (class, from.min(MAX_NUMBER))).collect();
        self.backend.known_numbers(device, spool, &lanes).await
    }

    /// Returns all devices, by name.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn devices(&self) -> Result<Vec<Device>, ArchiveError> {
        self.backend.devices().await
    }

    /// Returns one page of the list of devices, by name. A page has 1 to [`MAX_PAGE_DEVICES`] devices; other limits
    /// are clamped to this range.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn list_devices(
        &self,
        limit: u32,
        after: Option<&DeviceCursor>,
    ) -> Result<DevicePage, ArchiveError> {
        let limit = limit.clamp(1, MAX_PAGE_DEVICES);
        let devices =
            self.backend.devices_after(after.map_or("", DeviceCursor::last_name), limit + 1).await?;
        Ok(DevicePage::from_devices(devices, limit as usize))
    }

    /// Returns the sums over all devices. Devices without a contact since `silent_before_us`, in microseconds since
    /// 1970, are silent.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn summary(&self, silent_before_us: i64) -> Result<ArchiveSummary, ArchiveError> {
        self.backend.summarise(silent_before_us).await
    }

    /// Returns one page of the list of frames, ordered by the corrected time of capture, newest first; of frames captured
    /// at the same time, the one archived last comes first. Frames that are added or deleted between calls do
    /// not move others to another page.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn list_frames(&self, query: &FrameQuery) -> Result<FramePage, ArchiveError> {
        Ok(query.build_page(self.backend.list_frames(query).await?))
    }

    /// Returns a frame with its bytes, or `None` if the archive does not contain a frame with that id.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn read_frame(&self, id: i64) -> Result<Option<Frame>, ArchiveError> {
        self.backend.read_frame(id).await
    }

    /// Returns the ids and bytes of those of the given frames that still exist, in any order.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn read_frame_bytes(&self, ids: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, ArchiveError> {
        self.backend.read_frame_bytes(ids).await
    }

    /// Returns the first `limit` frames, of one device or of all, that were archived after the frame `id`, in
    /// the order of their ids. The frame `id` itself need not exist.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn frames_since(
        &self,
        id: i64,
        device: Option<&str>,
        limit: u32,
    ) -> Result<FramesSince, ArchiveError> {
        self.backend.frames_since(id, device, limit).await
    }

    /// Deletes a frame, and returns whether it existed. The archive still remembers that it was applied: a
    /// replay does not bring it back.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn delete(&self, id: i64) -> Result<bool, ArchiveError> {
        self.state.observe_failure(self.backend.delete(id).await)
    }

    /// Returns at most `limit` frames of these latent spaces whose newest score is not from this head in this
    /// version or a newer one. Frames without a score come first, and older frames before newer ones. Each
    /// latent space must be given once.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn unscored_frames(
        &self,
        head: &HeadKey,
        spaces: &[LatentSpaceKey],
        limit: u32,
    ) -> Result<Vec<UnscoredFrame>, ArchiveError> {
        self.backend.unscored_frames(head, spaces, limit).await
    }

    /// Stores scores in place of the earlier scores of the frames, all or none, and returns the number of
    /// frames updated. Frames that no longer exist, and frames that a newer version of the head has scored,
    /// are skipped.
    ///
    /// # Errors
    /// Returns [`ArchiveError::InvalidScore`], or an error of the database.
    pub async fn put_scores(&self, head: &HeadKey, scores: &[NewScore]) -> Result<u64, ArchiveError> {
        scores.iter().try_for_each(NewScore::check)?;
        self.state.observe_failure(self.backend.put_scores(head, scores).await)
    }

    /// Adds an event to the audit log, and returns its row after it is durable. Texts over 1024 bytes are cut off.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn append_audit(&self, event: &AuditEvent) -> Result<AuditEntry, ArchiveError> {
        self.state.observe_write(self.backend.append_audit(event, now_us()).await)
    }

    /// Returns one page of the audit log, newest first. A page has 1 to [`MAX_PAGE_AUDIT_ENTRIES`] entries; other
    /// limits are clamped to this range.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn list_audit(
        &self,
        limit: u32,
        after: Option<AuditCursor>,
    ) -> Result<AuditPage, ArchiveError> {
        let limit = limit.clamp(1, MAX_PAGE_AUDIT_ENTRIES);
        let entries = self.backend.list_audit(after.map_or(u64::MAX, AuditCursor::before), limit + 1).await?;
        Ok(AuditPage::from_entries(entries, limit as usize))
    }

    /// Checks that no row of the audit log at this address was changed, deleted, inserted or moved. The database is
    /// neither created nor changed, and may be in use.
    ///
    /// # Errors
    /// Returns [`ArchiveError::InvalidUrl`], [`Unreachable`](ArchiveError::Unreachable), or another error of the
    /// database, for example of one whose schema does not have an audit log yet.
    pub async fn verify_audit(url: &str) -> Result<AuditReport, ArchiveError> {
        open::verify_audit(url).await
    }

    /// Subscribes to the frames that this process commits from now on, in the order of its commits. A
    /// subscriber that falls behind by more than [`Settings::feed_capacity`] frames learns how many it has missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<FrameMeta>> {
        self.feed.subscribe()
    }

    /// Deletes the frames over the limits of the [`Settings`]: those that are too old at `now_us`, in microseconds since
    /// 1970, then those over the quotas of their devices, and then those over the size of the archive. Of each device,
    /// the frames that arrived first are deleted. Only the server's clock counts, because clocks of devices may be wrong.
    /// The size takes frames from the devices that occupy most of the archive; others lose nothing.
    ///
    /// A sweep uses small transactions, between which batches are applied. With SQLite it gives free space back to the
    /// file system, unless the file was created by an earlier version.
    ///
    /// # Errors
    /// Returns an error of the database. Frames that were deleted before stay deleted.
    pub async fn sweep(&self, now_us: i64) -> Result<SweepReport, ArchiveError> {
        self.state.observe_failure(sweep::sweep(&*self.backend, &self.settings, now_us).await)
    }

    /// Returns the bytes that the archive occupies on disk, without free space in its files: with SQLite the pages in use,
    /// with PostgreSQL the tables and indices, but at most the bytes that their rows need.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn size_bytes(&self) -> Result<u64, ArchiveError> {
        Ok(self.backend.usage().await?.size_bytes)
    }

    /// Returns the state of the archive, which every write updates. The receiver learns of every change, with the
    /// reason of a failure.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ArchiveState> {
        self.state.subscribe()
    }

    /// Checks that the database answers and that its files are in place, by an inexpensive query. If the last write
    /// failed, it also tries to write, so that the archive is found to be healthy again without an upload.
    ///
    /// The call may take as long as [`Settings::acquire_timeout`] allows. If the last write failed and another call
    /// is trying to write, it returns the reason of that failure at once.
    ///
    /// # Errors
    /// Returns [`ArchiveError::Replaced`], or another error of the database.
    pub async fn health(&self) -> Result<(), ArchiveError> {
        let answer = self.backend.check_read().await;
        if matches!(answer, Err(ArchiveError::Replaced { .. })) {
            return self.state.observe_failure(answer);
        }
        answer?;
        let Some(reason) = self.state.failure() else { return Ok(()) };
        if matches!(reason, ArchiveError::WriterFailed { .. }) {
            return Err(reason);
        }
        let Some(_recovery) = self.state.try_recover() else { return Err(reason) };
        self.state.observe_write(self.backend.check_write(now_us()).await)
    }

    /// Waits for pending writes and closes the database. All later calls fail, also those of clones.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Archive").field("settings", &self.settings).finish_non_exhaustive()
    }
}
