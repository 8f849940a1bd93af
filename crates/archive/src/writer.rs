//! One task applies the batches of all callers, those that wait together in one transaction. While one commit is on
//! its way to the disk the next group gathers, so the more callers there are the more a commit holds.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    Applied, ArchiveError, Batch, FrameMeta,
    backend::{Backend, Committed},
};

/// Batches that wait, at most. A caller waits for a place.
const WAITING: usize = 256;
/// Records a transaction, unless one batch alone has more.
const GROUP_RECORDS: usize = 1 << 13;
/// Bytes of frames a transaction, unless one batch alone has more.
const GROUP_BYTES: usize = 8 << 20;

type Answer = oneshot::Sender<Result<Applied, ArchiveError>>;

/// A checked batch, and who waits for it.
pub(crate) struct Job {
    pub(crate) batch: Batch,
    pub(crate) answer: Answer,
}

/// Starts the task. It ends when all senders are gone.
pub(crate) fn start(backend: Arc<dyn Backend>, feed: broadcast::Sender<Arc<FrameMeta>>) -> mpsc::Sender<Job> {
    let (sender, jobs) = mpsc::channel(WAITING);
    tokio::spawn(Writer { backend, feed, jobs, next: None }.run());
    sender
}

struct Writer {
    backend: Arc<dyn Backend>,
    feed: broadcast::Sender<Arc<FrameMeta>>,
    jobs: mpsc::Receiver<Job>,
    /// What did not fit into the last group.
    next: Option<Job>,
}

impl Writer {
    async fn run(mut self) {
        while let Some((batches, answers)) = self.group().await {
            let outcomes = self.apply(&batches).await;
            for (outcome, answer) in outcomes.into_iter().zip(answers) {
                let outcome = outcome.map(|committed| {
                    for frame in committed.frames {
                        // Nobody has to listen.
                        let _ = self.feed.send(frame);
                    }
                    committed.applied
                });
                // Who has gone away sends it again, and is told that it was applied.
                let _ = answer.send(outcome);
            }
        }
    }

    /// Waits for a batch, and takes with it what waits already.
    async fn group(&mut self) -> Option<(Vec<Batch>, Vec<Answer>)> {
        let mut job = match self.next.take() {
            Some(job) => job,
            None => self.jobs.recv().await?,
        };
        let (mut batches, mut answers) = (Vec::new(), Vec::new());
        let (mut records, mut bytes) = (0, 0);
        loop {
            records += job.batch.records.len();
            bytes += job.batch.bytes();
            if !batches.is_empty() && (records > GROUP_RECORDS || bytes > GROUP_BYTES) {
                self.next = Some(job);
                break;
            }
            batches.push(job.batch);
            answers.push(job.answer);
            match self.jobs.try_recv() {
                Ok(next) => job = next,
                Err(_) => break,
            }
        }
        Some((batches, answers))
    }

    /// Applies a group; where that fails for a reason that one of them may have brought in, each batch by itself.
    async fn apply(&self, batches: &[Batch]) -> Vec<Result<Committed, ArchiveError>> {
        let error = match self.backend.apply(batches, now_us()).await {
            Ok(outcomes) => return outcomes,
            Err(error) => error,
        };
        tracing::warn!(%error, batches = batches.len(), "a commit of the archive failed");
        if batches.len() == 1 || error.concerns_all() {
            return batches.iter().map(|_| Err(error.clone())).collect();
        }
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            let alone = self.backend.apply(std::slice::from_ref(batch), now_us()).await;
            outcomes.extend(alone.unwrap_or_else(|error| vec![Err(error)]));
        }
        outcomes
    }
}

/// The time in microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
