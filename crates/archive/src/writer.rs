//! The writer: one task that applies the batches of all callers, those that wait at the same time in one
//! transaction. While one commit is written to disk, the next group gathers, so a commit holds more batches
//! when there are more callers.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    Applied, ArchiveError, Batch, FrameMeta,
    backend::{Backend, Committed},
};

/// Maximum number of queued batches. Callers wait while the queue is full.
const WAITING: usize = 256;
/// Maximum records per transaction, unless a single batch has more.
const GROUP_RECORDS: usize = 1 << 13;
/// Maximum bytes of frames per transaction, unless a single batch has more.
const GROUP_BYTES: usize = 8 << 20;

type Answer = oneshot::Sender<Result<Applied, ArchiveError>>;

/// A checked batch and the reply channel of its caller.
pub(crate) struct Job {
    pub(crate) batch: Batch,
    pub(crate) answer: Answer,
}

/// Starts the task. It ends when all senders are dropped.
pub(crate) fn start(backend: Arc<dyn Backend>, feed: broadcast::Sender<Arc<FrameMeta>>) -> mpsc::Sender<Job> {
    let (sender, jobs) = mpsc::channel(WAITING);
    tokio::spawn(Writer { backend, feed, jobs, next: None }.run());
    sender
}

struct Writer {
    backend: Arc<dyn Backend>,
    feed: broadcast::Sender<Arc<FrameMeta>>,
    jobs: mpsc::Receiver<Job>,
    /// The job that did not fit into the last group.
    next: Option<Job>,
}

impl Writer {
    async fn run(mut self) {
        while let Some((batches, answers)) = self.group().await {
            let outcomes = self.apply(&batches).await;
            for (outcome, answer) in outcomes.into_iter().zip(answers) {
                let outcome = outcome.map(|committed| {
                    for frame in committed.frames {
                        // Sending fails only if there are no subscribers.
                        let _ = self.feed.send(frame);
                    }
                    committed.applied
                });
                // A caller that has gone away sends the batch again, and learns then that it was applied.
                let _ = answer.send(outcome);
            }
        }
    }

    /// Waits for a batch, and adds the batches that are already queued.
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

    /// Applies a group. If that fails for a reason that one of the batches may have caused, applies each
    /// batch separately.
    async fn apply(&self, batches: &[Batch]) -> Vec<Result<Committed, ArchiveError>> {
        let error = match self.backend.apply(batches, now_us()).await {
            Ok(outcomes) => return outcomes,
            Err(error) => error,
        };
        tracing::warn!(%error, batches = batches.len(), "could not commit to the archive");
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

/// Returns the current time in microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
