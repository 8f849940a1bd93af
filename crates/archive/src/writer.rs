//! The writer: one task that writes the requests of all callers, those that wait at the same time in one
//! transaction. While one commit is written to disk, the next group gathers, so a commit holds more requests
//! when there are more callers.

use std::{
    slice,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    AppliedBatch, ArchiveError, Batch, FrameMeta, LostNumbers, NewConnection, RegisteredConnection,
    backend::{Backend, CommittedBatch, GroupOutcome, WriteGroup},
    state::StateMonitor,
};

/// Maximum number of queued requests. Callers wait while the queue is full.
const QUEUE_CAPACITY: usize = 256;
/// Maximum records and connections per transaction, unless a single batch has more.
const MAX_GROUP_RECORDS: usize = 1 << 13;
/// Maximum bytes of frames per transaction, unless a single batch has more.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// The channel on which a caller waits for the result of its request.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, ArchiveError>>;

/// A checked request and the reply channel of its caller.
pub(crate) enum WriteJob {
    Batch(Batch, Reply<AppliedBatch>),
    Connection(NewConnection, Reply<RegisteredConnection>),
}

/// Starts the task. It ends when all senders are dropped; another end is reported as a failure of the archive.
pub(crate) fn start(
    backend: Arc<dyn Backend>,
    feed: broadcast::Sender<Arc<FrameMeta>>,
    state: Arc<StateMonitor>,
) -> mpsc::Sender<WriteJob> {
    let (sender, jobs) = mpsc::channel(QUEUE_CAPACITY);
    let writer = Writer { backend, feed, state: Arc::clone(&state), jobs, carried_over: None };
    tokio::spawn(supervise(tokio::spawn(writer.run()), state));
    sender
}

/// Waits for the end of the writer, and reports a panic.
async fn supervise(writer: JoinHandle<()>, state: Arc<StateMonitor>) {
    let Err(error) = writer.await else { return };
    // A task is cancelled only at the end of the runtime.
    if error.is_panic() {
        state.report_writer_failure(error.to_string());
    }
}

struct Writer {
    backend: Arc<dyn Backend>,
    feed: broadcast::Sender<Arc<FrameMeta>>,
    state: Arc<StateMonitor>,
    jobs: mpsc::Receiver<WriteJob>,
    /// The job that did not fit into the last group.
    carried_over: Option<WriteJob>,
}

/// Requests that are written together, with the reply channels of their callers.
#[derive(Default)]
struct PendingGroup {
    connections: Vec<NewConnection>,
    connection_replies: Vec<Reply<RegisteredConnection>>,
    batches: Vec<Batch>,
    batch_replies: Vec<Reply<AppliedBatch>>,
    /// Number of records and connections.
    records: usize,
    bytes: usize,
}

/// The results of a group: those of single requests if they were not written together.
#[derive(Default)]
struct GroupResults {
    connections: Vec<Result<RegisteredConnection, ArchiveError>>,
    batches: Vec<Result<CommittedBatch, ArchiveError>>,
}

impl WriteJob {
    /// Returns the number of records, and the bytes of their frames. A connection counts as one record.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Batch(batch, _) => (batch.records.len(), batch.frame_bytes()),
            Self::Connection(..) => (1, 0),
        }
    }
}

impl PendingGroup {
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.batches.is_empty()
    }

    /// Adds a job, or returns it if it does not fit.
    fn push(&mut self, job: WriteJob) -> Option<WriteJob> {
        let (records, bytes) = job.size();
        let is_too_large = self.records + records > MAX_GROUP_RECORDS || self.bytes + bytes > MAX_GROUP_BYTES;
        if is_too_large && !self.is_empty() {
            return Some(job);
        }
        (self.records, self.bytes) = (self.records + records, self.bytes + bytes);
        match job {
            WriteJob::Batch(batch, reply) => {
                self.batches.push(batch);
                self.batch_replies.push(reply);
            }
            WriteJob::Connection(connection, reply) => {
                self.connections.push(connection);
                self.connection_replies.push(reply);
            }
        }
        None
    }

    fn requests(&self) -> WriteGroup<'_> {
        WriteGroup { connections: &self.connections, batches: &self.batches }
    }
}

impl Writer {
    async fn run(mut self) {
        while let Some(group) = self.next_group().await {
            let results = self.write_group(group.requests()).await;
            self.answer(group, results);
        }
    }

    /// Waits for a request, and adds the requests that are already queued.
    async fn next_group(&mut self) -> Option<PendingGroup> {
        let mut job = match self.carried_over.take() {
            Some(job) => job,
            None => self.jobs.recv().await?,
        };
        let mut group = PendingGroup::default();
        loop {
            if let Some(job) = group.push(job) {
                self.carried_over = Some(job);
                break;
            }
            match self.jobs.try_recv() {
                Ok(next) => job = next,
                Err(_) => break,
            }
        }
        Some(group)
    }

    /// Writes a group. If that fails for a reason that one of the requests may have caused, writes each request
    /// separately.
    async fn write_group(&self, group: WriteGroup<'_>) -> GroupResults {
        let error = match self.write_together(group).await {
            Ok(outcome) => return GroupResults::from(outcome),
            Err(error) => error,
        };
        let requests = group.connections.len() + group.batches.len();
        if !error.is_outage() {
            // An outage is logged when it begins and when it ends.
            tracing::warn!(%error, requests, "could not commit to the archive");
        }
        if requests == 1 || error.is_shared_failure() {
            return GroupResults {
                connections: group.connections.iter().map(|_| Err(error.clone())).collect(),
                batches: group.batches.iter().map(|_| Err(error.clone())).collect(),
            };
        }
        self.write_separately(group).await
    }

    async fn write_separately(&self, group: WriteGroup<'_>) -> GroupResults {
        let mut results = GroupResults::default();
        for connection in group.connections {
            let single = WriteGroup { connections: slice::from_ref(connection), batches: &[] };
            match self.write_together(single).await {
                Ok(outcome) => results.connections.extend(outcome.connections.into_iter().map(Ok)),
                Err(error) => results.connections.push(Err(error)),
            }
        }
        for batch in group.batches {
            let single = WriteGroup { connections: &[], batches: slice::from_ref(batch) };
            match self.write_together(single).await {
                Ok(outcome) => results.batches.extend(outcome.batches),
                Err(error) => results.batches.push(Err(error)),
            }
        }
        results
    }

    async fn write_together(&self, group: WriteGroup<'_>) -> Result<GroupOutcome, ArchiveError> {
        self.state.observe_write(self.backend.write(group, now_us()).await)
    }

    /// Publishes and answers what was written. A caller that has gone away asks again, and learns then that its
    /// request was fulfilled.
    fn answer(&self, group: PendingGroup, results: GroupResults) {
        let connections = group.connections.iter().zip(results.connections).zip(group.connection_replies);
        for ((connection, result), reply) in connections {
            if let Ok(registered) = &result {
                for lost in &registered.newly_lost {
                    log_loss(connection, lost);
                }
            }
            let _ = reply.send(result);
        }
        for (result, reply) in results.batches.into_iter().zip(group.batch_replies) {
            if let Err(error @ ArchiveError::Conflict { device, .. }) = &result {
                tracing::warn!(device, %error, "a batch is refused");
            }
            let _ = reply.send(result.map(|committed| self.publish(committed)));
        }
    }

    /// Sends the new frames of a batch to the subscribers.
    fn publish(&self, committed: CommittedBatch) -> AppliedBatch {
        for frame in committed.frames {
            // Sending fails only if there are no subscribers.
            let _ = self.feed.send(frame);
        }
        committed.applied
    }
}

impl From<GroupOutcome> for GroupResults {
    fn from(outcome: GroupOutcome) -> Self {
        Self { connections: outcome.connections.into_iter().map(Ok).collect(), batches: outcome.batches }
    }
}

/// Reports numbers that were acknowledged and are not in the archive.
fn log_loss(connection: &NewConnection, lost: &LostNumbers) {
    tracing::error!(
        device = connection.device,
        spool = format_args!("{:08x}", connection.spool),
        class = %lost.class,
        first = lost.numbers.start(),
        last = lost.numbers.end(),
        "frames that were acknowledged are not in the archive: it was restored from a backup, or replaced by another \
         one; the device sends those that it still has"
    );
}

/// Returns the current time in microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ArchiveState;

    #[tokio::test]
    async fn a_panic_of_the_writer_is_a_failure_that_lasts() {
        let monitor = Arc::<StateMonitor>::default();
        let mut state = monitor.subscribe();
        supervise(tokio::spawn(async {}), Arc::clone(&monitor)).await;
        assert!(!state.has_changed().unwrap(), "the end of an unused writer is not a failure");
        supervise(tokio::spawn(async { panic!("a fault") }), Arc::clone(&monitor)).await;
        let is_reported = |state: &ArchiveState| {
            let ArchiveState::Failing(error) = state else { return false };
            error.to_string().contains("a fault") && error.to_string().contains("restart the server")
        };
        assert!(is_reported(&state.borrow_and_update()));
        // Neither a write past the writer nor an outage hides it.
        monitor.observe_write(Ok(())).unwrap();
        let outage = ArchiveError::Locked { place: "archive.db".into(), cause: "busy".into() };
        monitor.observe_failure::<()>(Err(outage)).unwrap_err();
        assert!(is_reported(&state.borrow()) && !state.has_changed().unwrap());
        assert!(matches!(monitor.writer_failure(), ArchiveError::WriterFailed { .. }));
    }
}
