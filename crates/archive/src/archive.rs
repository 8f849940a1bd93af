use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    Applied, ArchiveError, Batch, Class, Device, Frame, FrameMeta, HeadKey, LatentSpace, NewScore, Page,
    Query, Since, Unscored,
    backend::{self, Backend},
    batch::check_device,
    writer::{self, Job, now_us},
};

/// How an archive works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Frames captured longer ago than that are deleted by a sweep.
    pub max_age: Option<Duration>,
    /// A sweep deletes the oldest frames until the rest have at most so many bytes.
    pub max_bytes: Option<u64>,
    /// Connections to the database at most: to PostgreSQL all of them, at least 2; to SQLite those that read.
    pub connections: u32,
    /// How long a lock that another process holds, or a connection, is waited for.
    pub patience: Duration,
    /// Frames that a subscriber may be behind, at least 1.
    pub feed: usize,
}

/// What a sweep has deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The archive: see the [crate's page](crate). Clones are one archive.
#[derive(Clone)]
pub struct Archive {
    backend: Arc<dyn Backend>,
    jobs: mpsc::Sender<Job>,
    feed: broadcast::Sender<Arc<FrameMeta>>,
    settings: Settings,
}

impl Default for Settings {
    /// Everything is kept.
    fn default() -> Self {
        Self { max_age: None, max_bytes: None, connections: 8, patience: Duration::from_secs(5), feed: 1024 }
    }
}

impl Archive {
    /// Opens the archive, or makes it, and brings its schema up to date. The address is `sqlite:PATH`, the path of a
    /// file, or `postgres://USER:PASSWORD@HOST/NAME`.
    ///
    /// It is to be called within a tokio runtime, which then has the task that writes.
    ///
    /// # Errors
    /// [`ArchiveError::Url`], [`Unreachable`](ArchiveError::Unreachable), [`TooNew`](ArchiveError::TooNew),
    /// [`Corrupt`](ArchiveError::Corrupt), and what else the database says.
    pub async fn open(url: &str, settings: Settings) -> Result<Self, ArchiveError> {
        let backend = backend::open(url, &settings).await?;
        let (feed, _) = broadcast::channel(settings.feed.max(1));
        let jobs = writer::start(Arc::clone(&backend), feed.clone());
        Ok(Self { backend, jobs, feed, settings })
    }

    /// Applies a batch, wholly or not at all, and returns when that is durable. A call that is given up may still
    /// apply its batch; sending it again is always safe.
    ///
    /// # Errors
    /// [`ArchiveError::Refused`], which is for ever; [`ArchiveError::Displaced`]; anything else the database says, after
    /// which the batch is to be sent again.
    pub async fn apply(&self, batch: Batch) -> Result<Applied, ArchiveError> {
        batch.check()?;
        let (answer, outcome) = oneshot::channel();
        self.jobs.send(Job { batch, answer }).await.map_err(|_| ArchiveError::Closed)?;
        outcome.await.map_err(|_| ArchiveError::Closed)?
    }

    /// A device has come on a new connection, whose batches name the [turn](Batch::turn) that is returned. Nothing that
    /// came on an older connection, to whichever server, is applied any more: what is known now is all that there is,
    /// until this connection sends more.
    ///
    /// # Errors
    /// [`ArchiveError::Refused`] for a name that no device has, and what the database says.
    pub async fn arrive(&self, device: &str) -> Result<u64, ArchiveError> {
        check_device(device)?;
        self.backend.arrive(device, now_us()).await
    }

    /// The numbers of a class of a device's spool that need not be sent, from `from` on: ascending ranges with gaps
    /// between them, of all epochs together. These are the numbers applied, and those up to the highest floor, whether they
    /// were applied or given up: whoever asks from above the floors is told of nothing but what was applied.
    ///
    /// # Errors
    /// What the database says.
    pub async fn known(
        &self,
        device: &str,
        spool: u32,
        class: Class,
        from: u64,
    ) -> Result<Vec<RangeInclusive<u64>>, ArchiveError> {
        self.backend.known(device, spool, class, from).await
    }

    /// All devices, by name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn devices(&self) -> Result<Vec<Device>, ArchiveError> {
        self.backend.devices().await
    }

    /// A page of the list of frames, newest captured first; of those captured at the same time, the one archived last.
    /// Frames that come or go meanwhile move no other from its page to the next.
    ///
    /// # Errors
    /// What the database says.
    pub async fn frames(&self, query: &Query) -> Result<Page, ArchiveError> {
        Ok(query.page(self.backend.frames(query).await?))
    }

    /// A frame with its bytes; none when there is none of that id, or no longer.
    ///
    /// # Errors
    /// What the database says.
    pub async fn frame(&self, id: i64) -> Result<Option<Frame>, ArchiveError> {
        self.backend.frame(id).await
    }

    /// The bytes of those of these frames that are still there, with their ids, in no order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn bytes(&self, ids: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, ArchiveError> {
        self.backend.bytes(ids).await
    }

    /// Frames, of one device or of all, that were archived after the frame of this id, which need not be there: the
    /// first `limit`, in the order of their ids.
    ///
    /// # Errors
    /// What the database says.
    pub async fn since(&self, id: i64, device: Option<&str>, limit: u32) -> Result<Since, ArchiveError> {
        self.backend.since(id, device, limit).await
    }

    /// Deletes a frame; whether it was there. That it was applied is not forgotten: a replay does not bring it back.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete(&self, id: i64) -> Result<bool, ArchiveError> {
        self.backend.delete(id).await
    }

    /// Frames of these latent spaces whose newest score is not of this head in this version or a newer one, `limit` at
    /// most: first those without any score, oldest first. A latent space is to be named once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn unscored(
        &self,
        head: &HeadKey,
        spaces: &[LatentSpace],
        limit: u32,
    ) -> Result<Vec<Unscored>, ArchiveError> {
        self.backend.unscored(head, spaces, limit).await
    }

    /// Keeps scores in place of those the frames had, all or none; of how many frames. Those that are gone, and those
    /// that a newer version of the head has scored, are passed over.
    ///
    /// # Errors
    /// [`ArchiveError::Score`], and what the database says.
    pub async fn put_scores(&self, head: &HeadKey, scores: &[NewScore]) -> Result<u64, ArchiveError> {
        scores.iter().try_for_each(NewScore::check)?;
        self.backend.put_scores(head, scores).await
    }

    /// What this process commits from now on, in the order of its commits. A subscriber that falls behind by more than
    /// [`Settings::feed`] frames is told how many it has missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<FrameMeta>> {
        self.feed.subscribe()
    }

    /// Deletes what is too old at `now_us`, microseconds since 1970, and then the oldest until the bytes are within
    /// their bound; in small transactions, between which batches are applied. Age is by the time of capture.
    ///
    /// # Errors
    /// What the database says. What was deleted until then stays deleted.
    pub async fn sweep(&self, now_us: i64) -> Result<Swept, ArchiveError> {
        let Settings { max_age, max_bytes, .. } = self.settings;
        let age = max_age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let horizon_us = age.map_or(i64::MIN, |age| now_us.saturating_sub(age));
        let mut swept = Swept::default();
        if max_age.is_none() && max_bytes.is_none() {
            return Ok(swept);
        }
        loop {
            let some = self.backend.sweep(horizon_us, max_bytes.unwrap_or(u64::MAX)).await?;
            if some.frames == 0 {
                return Ok(swept);
            }
            swept.frames += some.frames;
            swept.bytes += some.bytes;
        }
    }

    /// Whether the database answers, by a query that costs nothing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn health(&self) -> Result<(), ArchiveError> {
        self.backend.health().await
    }

    /// Waits for what is being written, and closes the database. All other calls then fail, of clones too.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Archive").field("settings", &self.settings).finish_non_exhaustive()
    }
}
