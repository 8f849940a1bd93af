use std::{fmt, ops::RangeInclusive, sync::Arc};

use lopside_delivery::Class;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    AppliedBatch, ArchiveError, ArchiveState, Batch, Device, Frame, FrameMeta, FramePage, FrameQuery,
    FramesSince, HeadKey, LatentSpaceKey, NewScore, Settings, SweepReport, UnscoredFrame,
    backend::Backend,
    batch::check_device_name,
    open::open_backend,
    state::StateMonitor,
    writer::{self, BatchJob, now_us},
};

/// The archive: see the [crate documentation](crate). All clones share one archive.
#[derive(Clone)]
pub struct Archive {
    backend: Arc<dyn Backend>,
    jobs: mpsc::Sender<BatchJob>,
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

    /// Applies a batch, as a whole or not at all, and returns when it is durable. If the caller drops the
    /// future, the batch may still be applied; sending it again is always safe.
    ///
    /// # Errors
    /// Returns [`ArchiveError::Refused`], which is permanent; [`ArchiveError::Superseded`]; or any error of
    /// the database, after which the batch must be sent again.
    pub async fn apply(&self, batch: Batch) -> Result<AppliedBatch, ArchiveError> {
        batch.check()?;
        let (reply, outcome) = oneshot::channel();
        self.jobs.send(BatchJob { batch, reply }).await.map_err(|_| ArchiveError::Closed)?;
        outcome.await.map_err(|_| ArchiveError::Closed)?
    }

    /// Registers a new connection of a device and returns its [turn](Batch::connection), which the batches of this
    /// connection carry. From then on no batch of an older connection to any server is applied, so the answer of
    /// [`known_numbers`](Self::known_numbers) stays complete until this connection sends more.
    ///
    /// # Errors
    /// Returns [`ArchiveError::Refused`] for an invalid device name, or an error of the database.
    pub async fn register_connection(&self, device: &str) -> Result<u64, ArchiveError> {
        check_device_name(device)?;
        self.state.observe_write(self.backend.register_connection(device, now_us()).await)
    }

    /// Returns the numbers of a class of a device's spool, from `from` on, that need not be sent: ascending
    /// ranges with gaps between them, over all epochs together. These are the applied numbers and all numbers
    /// up to the highest floor, whether they were applied or dropped. A caller whose `from` is above the
    /// floors gets applied numbers only.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn known_numbers(
        &self,
        device: &str,
        spool: u32,
        class: Class,
        from: u64,
    ) -> Result<Vec<RangeInclusive<u64>>, ArchiveError> {
        self.backend.known_numbers(device, spool, class, from).await
    }

    /// Returns all devices, by name.
    ///
    /// # Errors
    /// Returns an error of the database.
    pub async fn devices(&self) -> Result<Vec<Device>, ArchiveError> {
        self.backend.devices().await
    }

    /// Returns one page of the list of frames, ordered by capture time, newest first; of frames captured at
    /// the same time, the one archived last comes first. Frames that are added or deleted between calls do
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

    /// Subscribes to the frames that this process commits from now on, in the order of its commits. A
    /// subscriber that falls behind by more than [`Settings::feed_capacity`] frames learns how many it has missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<FrameMeta>> {
        self.feed.subscribe()
    }

    /// Deletes the frames that are too old at `now_us`, in microseconds since 1970, and then those that arrived
    /// first until the bytes are within their limit. It uses small transactions, between which batches are
    /// applied. The age counts from the arrival by the server's clock, because clocks of devices may be wrong.
    ///
    /// # Errors
    /// Returns an error of the database. Frames that were deleted before stay deleted.
    pub async fn sweep(&self, now_us: i64) -> Result<SweepReport, ArchiveError> {
        let Settings { max_age, max_bytes, .. } = self.settings;
        let age = max_age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let horizon_us = age.map_or(i64::MIN, |age| now_us.saturating_sub(age));
        let mut report = SweepReport::default();
        if max_age.is_none() && max_bytes.is_none() {
            return Ok(report);
        }
        loop {
            let deleted = self.backend.sweep(horizon_us, max_bytes.unwrap_or(u64::MAX)).await;
            let deleted = self.state.observe_failure(deleted)?;
            if deleted.frames == 0 {
                return Ok(report);
            }
            report.frames += deleted.frames;
            report.bytes += deleted.bytes;
        }
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
