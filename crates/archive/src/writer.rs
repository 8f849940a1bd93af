//! The writer: one task that applies the batches of all callers, those that wait at the same time in one
//! transaction. While one commit is written to disk, the next group gathers, so a commit holds more batches
//! when there are more callers.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    AppliedBatch, ArchiveError, Batch, FrameMeta,
    backend::{Backend, CommittedBatch},
    state::StateMonitor,
};

/// Maximum number of queued batches. Callers wait while the queue is full.
const QUEUE_CAPACITY: usize = 256;
/// Maximum records per transaction, unless a single batch has more.
const MAX_GROUP_RECORDS: usize = 1 << 13;
/// Maximum bytes of frames per transaction, unless a single batch has more.
const MAX_GROUP_BYTES: usize = 8 << 20;

type ReplySender = oneshot::Sender<Result<AppliedBatch, ArchiveError>>;

/// A checked batch and the reply channel of its caller.
pub(crate) struct BatchJob {
    pub(crate) batch: Batch,
    pub(crate) reply: ReplySender,
}

/// Starts the task. It ends when all senders are dropped.
pub(crate) fn start(
    backend: Arc<dyn Backend>,
    feed: broadcast::Sender<Arc<FrameMeta>>,
    state: Arc<StateMonitor>,
) -> mpsc::Sender<BatchJob> {
    let (sender, jobs) = mpsc::channel(QUEUE_CAPACITY);
    tokio::spawn(Writer { backend, feed, state, jobs, carried_over: None }.run());
    sender
}

struct Writer {
    backend: Arc<dyn Backend>,
    feed: broadcast::Sender<Arc<FrameMeta>>,
    state: Arc<StateMonitor>,
    jobs: mpsc::Receiver<BatchJob>,
    /// The job that did not fit into the last group.
    carried_over: Option<BatchJob>,
}

impl Writer {
    async fn run(mut self) {
        while let Some((batches, replies)) = self.next_group().await {
            let outcomes = self.apply_group(&batches).await;
            for (outcome, reply) in outcomes.into_iter().zip(replies) {
                let outcome = outcome.map(|committed| {
                    for frame in committed.frames {
                        // Sending fails only if there are no subscribers.
                        let _ = self.feed.send(frame);
                    }
                    committed.applied
                });
                // A caller that has gone away sends the batch again, and learns then that it was applied.
                let _ = reply.send(outcome);
            }
        }
    }

    /// Waits for a batch, and adds the batches that are already queued.
    async fn next_group(&mut self) -> Option<(Vec<Batch>, Vec<ReplySender>)> {
        let mut job = match self.carried_over.take() {
            Some(job) => job,
            None => self.jobs.recv().await?,
        };
        let (mut batches, mut replies) = (Vec::new(), Vec::new());
        let (mut records, mut bytes) = (0, 0);
        loop {
            records += job.batch.records.len();
            bytes += job.batch.frame_bytes();
            if !batches.is_empty() && (records > MAX_GROUP_RECORDS || bytes > MAX_GROUP_BYTES) {
                self.carried_over = Some(job);
                break;
            }
            batches.push(job.batch);
            replies.push(job.reply);
            match self.jobs.try_recv() {
                Ok(next) => job = next,
                Err(_) => break,
            }
        }
        Some((batches, replies))
    }

    /// Applies a group. If that fails for a reason that one of the batches may have caused, applies each
    /// batch separately.
    async fn apply_group(&self, batches: &[Batch]) -> Vec<Result<CommittedBatch, ArchiveError>> {
        let error = match self.apply_together(batches).await {
            Ok(outcomes) => return outcomes,
            Err(error) => error,
        };
        if !error.is_outage() {
            // An outage is logged when it begins and when it ends.
            tracing::warn!(%error, batches = batches.len(), "could not commit to the archive");
        }
        if batches.len() == 1 || error.is_shared_failure() {
            return batches.iter().map(|_| Err(error.clone())).collect();
        }
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            let results = self.apply_together(std::slice::from_ref(batch)).await;
            outcomes.extend(results.unwrap_or_else(|error| vec![Err(error)]));
        }
        outcomes
    }

    async fn apply_together(
        &self,
        batches: &[Batch],
    ) -> Result<Vec<Result<CommittedBatch, ArchiveError>>, ArchiveError> {
        self.state.observe_write(self.backend.apply(batches, now_us()).await)
    }
}

/// Returns the current time in microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}
