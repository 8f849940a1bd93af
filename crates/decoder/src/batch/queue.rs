//! The bounded queue of one head: admission, waiting and dequeuing of batches.
//!
//! A request is admitted before its frames are decoded: it gets a [`Permit`] for its job and for the bytes of
//! its tensors. It is refused if the queue is full, or if the work ahead of it would, at the recent time per
//! item, not be done by its deadline: a late result is useless and would delay other requests.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    discard_reason::DiscardReason,
    head_name::HeadName,
    job::Job,
    permit::{Permit, QueueLoad},
    policy::{BatchPolicy, ConcurrencyEstimate, Decision},
    stats::HeadStats,
};
use crate::{DecodeError, Priority, RequestOptions};

/// Limits on the work queued for one head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// Maximum number of jobs, including running jobs.
    pub(crate) max_jobs: usize,
    /// Maximum bytes of the tensors of these jobs.
    pub(crate) max_bytes: usize,
    /// Number of sessions that take batches from the queue.
    pub(crate) instances: usize,
}

/// The bounded queue of one head.
#[derive(Debug)]
pub(crate) struct Queue {
    head: Arc<str>,
    limits: QueueLimits,
    policy: BatchPolicy,
    state: Mutex<QueueState>,
    wake_signal: Condvar,
    closed: AtomicBool,
    load: Arc<QueueLoad>,
    /// Recent average time per item, in nanoseconds; 0 before the first measurement.
    nanos_per_item: AtomicU64,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: Vec<Job>,
    concurrency: ConcurrencyEstimate,
}

/// Jobs that run together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) jobs: Vec<Job>,
    pub(crate) dequeued_at: Instant,
}

/// Divisor of the limits for jobs of low priority.
const LOW_PRIORITY_DIVISOR: usize = 2;
/// Lower and upper bound of the advised retry delay.
const RETRY_DELAY_RANGE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(10)];

impl Queue {
    /// Creates an empty queue; `name` appears in errors and metrics.
    pub(crate) fn new(name: HeadName<'_>, limits: QueueLimits, policy: BatchPolicy) -> Arc<Self> {
        Arc::new(Self {
            head: format!("{}.{}", name.bundle, name.head).into(),
            limits,
            policy,
            state: Mutex::default(),
            wake_signal: Condvar::new(),
            closed: AtomicBool::new(false),
            load: Arc::new(QueueLoad::new(HeadStats::for_head(name))),
            nanos_per_item: AtomicU64::new(0),
        })
    }

    /// Admits a job of `items` items and `bytes` bytes. A job that is larger than the whole queue is admitted if
    /// the queue is empty.
    ///
    /// # Errors
    /// [`DecodeError::Overloaded`] with the advised retry delay, or [`DecodeError::DeadlineExceeded`].
    pub(crate) fn admit(
        &self,
        items: usize,
        bytes: usize,
        options: RequestOptions,
    ) -> Result<Permit, DecodeError> {
        let now = Instant::now();
        if options.deadline <= now {
            self.stats().record_discard(DiscardReason::Expired);
            return Err(DecodeError::DeadlineExceeded);
        }
        let mut permit = self.try_reserve(items, bytes, options.priority);
        if permit.is_none() {
            self.drop_dead_jobs(now);
            permit = self.try_reserve(items, bytes, options.priority);
        }
        permit.filter(|_| self.meets_deadline(items, options, now)).ok_or_else(|| {
            self.stats().record_refusal();
            DecodeError::Overloaded { head: self.head.to_string(), retry_after: self.retry_after() }
        })
    }

    /// Enqueues a job. If `wake` is true, wakes an engine thread when the job is the first in the queue or the
    /// expected number of items is reached.
    pub(crate) fn push(&self, job: Job, wake: bool) {
        let mut state = self.lock();
        state.jobs.push(job);
        state.concurrency.raise_to(self.load.items());
        let wake = wake && (state.jobs.len() == 1 || state.waiting_items() >= self.expected_items(&state));
        drop(state);
        if wake {
            self.wake_engine();
        }
    }

    /// Wakes one engine thread.
    pub(crate) fn wake_engine(&self) {
        self.wake_signal.notify_one();
    }

    /// Waits for the next batch; returns `None` when the queue is closed and empty.
    pub(crate) fn take_batch(&self) -> Option<Batch> {
        loop {
            let mut state = self.lock();
            let now = Instant::now();
            let dead = remove_dead_jobs(&mut state.jobs, now);
            if !dead.is_empty() {
                drop(state);
                self.reject_jobs(dead);
                continue;
            }
            match self.policy.decide(&state.jobs, self.expected_items(&state), now) {
                Decision::Run(indices) => return Some(self.remove_batch(&mut state, indices, now)),
                Decision::Wait(until) => {
                    let time = until.saturating_duration_since(now);
                    drop(self.wake_signal.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner));
                }
                Decision::Idle if self.closed.load(Relaxed) => return None,
                Decision::Idle => drop(self.wake_signal.wait(state).unwrap_or_else(PoisonError::into_inner)),
            }
        }
    }

    /// Returns the batch that can run now, limited to an expected time of about `max_time`; `None` if the queue
    /// is empty.
    pub(crate) fn try_take_batch(&self, max_time: Duration) -> Option<Batch> {
        let mut state = self.lock();
        let now = Instant::now();
        let dead = remove_dead_jobs(&mut state.jobs, now);
        let items_in_time = max_time.as_nanos() / self.expected_time(1).as_nanos().max(1);
        let max_items = self.policy.max_items.min(items_in_time as usize).max(1);
        let batch = match (BatchPolicy { max_items, ..self.policy }).decide(&state.jobs, 1, now) {
            Decision::Run(indices) => Some(self.remove_batch(&mut state, indices, now)),
            Decision::Wait(_) | Decision::Idle => None,
        };
        drop(state);
        self.reject_jobs(dead);
        batch
    }

    /// Updates the average time per item.
    pub(crate) fn update_pace(&self, items: usize, time: Duration) {
        let each = time.as_nanos() as u64 / items.max(1) as u64;
        let before = self.nanos_per_item.load(Relaxed);
        let after = if before == 0 { each } else { before - before / 8 + each / 8 };
        self.nanos_per_item.store(after, Relaxed);
    }

    /// Closes the queue: engine threads exit after the last job. The caller enqueues no further jobs.
    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
        // The lock is required so that an engine thread between its check and its wait does not miss the
        // notification.
        let state = self.lock();
        self.wake_signal.notify_all();
        drop(state);
    }

    /// Returns the statistics of the head.
    pub(crate) fn stats(&self) -> &HeadStats {
        self.load.stats()
    }

    /// Returns whether the queue is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    fn remove_batch(&self, state: &mut QueueState, mut indices: Vec<usize>, dequeued_at: Instant) -> Batch {
        // Jobs are removed from the back, so that the indices before them stay valid.
        indices.sort_unstable_by(|a, b| b.cmp(a));
        let mut jobs: Vec<Job> = indices.into_iter().map(|index| state.jobs.swap_remove(index)).collect();
        jobs.sort_by_key(|job| job.enqueued_at);
        state.concurrency.decay_to(self.load.items());
        if !state.jobs.is_empty() && self.limits.instances > 1 {
            self.wake_signal.notify_one();
        }
        Batch { jobs, dequeued_at }
    }

    fn expected_items(&self, state: &QueueState) -> usize {
        state.concurrency.expected_items(self.limits.instances).min(self.policy.max_items)
    }

    /// Returns a permit if the queue has capacity.
    fn try_reserve(&self, items: usize, bytes: usize, priority: Priority) -> Option<Permit> {
        let divisor = if priority == Priority::Low { LOW_PRIORITY_DIVISOR } else { 1 };
        let (max_jobs, max_bytes) = (self.limits.max_jobs / divisor, self.limits.max_bytes / divisor);
        // Reserved before the check; the drop of the permit undoes the reservation of a refused job.
        let (permit, before) = Permit::reserve(&self.load, items, bytes);
        (has_capacity(before.jobs, 1, max_jobs) && has_capacity(before.bytes, bytes, max_bytes))
            .then_some(permit)
    }

    /// Returns whether the jobs ahead and `items`, which are already counted, will be done by the deadline. A
    /// job with nothing ahead of it is always in time.
    fn meets_deadline(&self, items: usize, options: RequestOptions, now: Instant) -> bool {
        let before = self.load.items().saturating_sub(items);
        before == 0 || now + self.expected_wait(before + items) <= options.deadline
    }

    /// Returns the expected time of `items` items in one session.
    pub(crate) fn expected_time(&self, items: usize) -> Duration {
        Duration::from_nanos(self.nanos_per_item.load(Relaxed).saturating_mul(items as u64))
    }

    /// Returns the expected time of `items` items in all sessions together.
    fn expected_wait(&self, items: usize) -> Duration {
        self.expected_time(items) / self.limits.instances.clamp(1, u32::MAX as usize) as u32
    }

    /// Returns the expected time until half of the queued and running items are done.
    fn retry_after(&self) -> Duration {
        self.expected_wait(self.load.items() / 2).clamp(RETRY_DELAY_RANGE[0], RETRY_DELAY_RANGE[1])
    }

    /// Drops expired and abandoned jobs.
    fn drop_dead_jobs(&self, now: Instant) {
        let dead = remove_dead_jobs(&mut self.lock().jobs, now);
        self.reject_jobs(dead);
    }

    fn reject_jobs(&self, dead: Vec<(Job, DiscardReason)>) {
        for (job, reason) in dead {
            self.stats().record_discard(reason);
            let _ = job.reply.send(Err(DecodeError::DeadlineExceeded));
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    /// Returns the number of items of all waiting jobs.
    fn waiting_items(&self) -> usize {
        self.jobs.iter().map(|job| job.input.items()).sum()
    }
}

/// Returns whether `additional` can be added to `reserved` without exceeding the limit. The first job is always
/// admitted.
fn has_capacity(reserved: usize, additional: usize, limit: usize) -> bool {
    reserved == 0 || reserved + additional <= limit
}

/// Removes the jobs that must not run, and returns them with the reasons.
fn remove_dead_jobs(jobs: &mut Vec<Job>, now: Instant) -> Vec<(Job, DiscardReason)> {
    let mut dead = Vec::new();
    let mut index = 0;
    while let Some(job) = jobs.get(index) {
        match job.discard_reason(now) {
            Some(reason) => dead.push((jobs.swap_remove(index), reason)),
            None => index += 1,
        }
    }
    dead
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::oneshot;
    use tracing::Span;

    use super::*;
    use crate::{
        batch::permit::Reserved,
        model::{BatchSlice, InferenceInput, NamedTensor},
    };

    type Receiver = oneshot::Receiver<Result<BatchSlice, DecodeError>>;

    const POLICY: BatchPolicy = BatchPolicy {
        max_items: 4,
        max_delay: Duration::ZERO,
        promotion_interval: Duration::from_millis(500),
    };

    const NAME: HeadName<'static> = HeadName { bundle: "b", head: "h", version: 1 };

    fn queue(jobs: usize, bytes: usize) -> Arc<Queue> {
        Queue::new(NAME, QueueLimits { max_jobs: jobs, max_bytes: bytes, instances: 1 }, POLICY)
    }

    fn options(time: Duration, priority: Priority) -> RequestOptions {
        RequestOptions { priority, ..RequestOptions::with_timeout(time) }
    }

    fn soon() -> RequestOptions {
        options(Duration::from_mins(1), Priority::Normal)
    }

    fn push(queue: &Arc<Queue>, items: usize, options: RequestOptions) -> Receiver {
        let (reply, receiver) = oneshot::channel();
        let tensor =
            NamedTensor { name: "z".into(), shape: vec![items, 1], values: Arc::new(vec![0.0; items]) };
        let job = Job {
            input: InferenceInput { tensors: vec![tensor], output_lens: vec![items] },
            options,
            enqueued_at: Instant::now(),
            request_span: Span::none(),
            queue_span: Span::none(),
            reply,
            permit: queue.admit(items, 8 * items, options).unwrap(),
        };
        queue.push(job, true);
        receiver
    }

    fn batch_len(queue: &Queue) -> usize {
        queue.take_batch().map_or(0, |batch| batch.jobs.len())
    }

    #[test]
    fn expired_and_abandoned_jobs_never_enter_a_batch_and_are_counted() {
        let queue = queue(9, 1000);
        let abandoned = push(&queue, 1, soon());
        drop(abandoned);
        let mut expired = push(&queue, 1, soon());
        queue.lock().jobs[1].options.deadline = Instant::now();
        let _receiver = push(&queue, 1, soon());
        let batch = queue.take_batch().unwrap();
        assert_eq!(batch.jobs.len(), 1);
        assert!(
            batch.jobs.iter().all(|job| !job.reply.is_closed() && job.options.deadline > batch.dequeued_at)
        );
        let counts = queue.stats().counts();
        assert_eq!((counts.expired, counts.abandoned, counts.refused), (1, 1, 0));
        assert_eq!(expired.try_recv().unwrap().unwrap_err(), DecodeError::DeadlineExceeded);
        // Only the job in the batch still holds its permit.
        assert_eq!(queue.load.reserved(), Reserved { jobs: 1, items: 1, bytes: 8 });
        drop(batch);
        assert_eq!(queue.load.reserved(), Reserved { jobs: 0, items: 0, bytes: 0 });
    }

    #[test]
    fn a_full_queue_refuses_by_jobs_and_by_bytes_and_abandoned_jobs_still_count() {
        let queue = queue(2, 1000);
        let first = push(&queue, 1, soon());
        let second = push(&queue, 1, soon());
        let refused = queue.admit(1, 8, soon()).unwrap_err();
        assert!(matches!(refused, DecodeError::Overloaded { .. }), "{refused}");
        // A running job holds its permit even if its caller has stopped waiting.
        let batch = queue.take_batch().unwrap();
        drop(first);
        assert!(queue.admit(1, 8, soon()).is_err());
        drop(batch);
        drop(second);
        let _permit = queue.admit(1, 900, soon()).unwrap();
        assert!(queue.admit(1, 101, soon()).is_err());
        assert!(queue.admit(1, 100, soon()).is_ok());
        assert_eq!(queue.stats().counts().refused, 3);
    }

    #[test]
    fn abandoned_jobs_are_dropped_when_the_queue_is_full() {
        let queue = queue(2, 1000);
        let (first, _second) = (push(&queue, 1, soon()), push(&queue, 1, soon()));
        drop(first);
        assert!(queue.admit(1, 8, soon()).is_ok());
        assert_eq!(queue.stats().counts().abandoned, 1);
    }

    #[test]
    fn low_priority_fills_half_and_a_job_larger_than_the_queue_is_admitted_alone() {
        let queue = queue(4, 100);
        let low = options(Duration::from_mins(1), Priority::Low);
        let permits: Vec<_> = (0..2).map(|_| queue.admit(1, 8, low).unwrap()).collect();
        assert!(queue.admit(1, 8, low).is_err());
        assert!(queue.admit(1, 8, soon()).is_ok());
        drop(permits);
        let _large = queue.admit(9, 1000, soon()).unwrap();
        assert!(queue.admit(1, 8, soon()).is_err());
    }

    #[test]
    fn a_job_that_cannot_meet_its_deadline_is_refused_with_a_retry_delay() {
        let queue = queue(100, 1000);
        queue.update_pace(1, Duration::from_millis(100));
        let short = options(Duration::from_millis(50), Priority::Normal);
        // The first job has nothing ahead of it, so it is always admitted.
        let first = queue.admit(4, 8, short).unwrap();
        let DecodeError::Overloaded { retry_after, .. } = queue.admit(1, 8, short).unwrap_err() else {
            panic!("it was not refused")
        };
        assert_eq!(retry_after, Duration::from_millis(200));
        assert!(queue.admit(1, 8, soon()).is_ok());
        drop(first);
        assert!(queue.admit(1, 8, short).is_ok());
        assert_eq!(
            queue.admit(1, 8, RequestOptions::with_timeout(Duration::ZERO)).unwrap_err(),
            DecodeError::DeadlineExceeded
        );
    }

    #[test]
    fn a_closed_queue_is_finished_first() {
        let queue = queue(9, 1000);
        let _receivers: Vec<_> = (0..6).map(|_| push(&queue, 1, soon())).collect();
        queue.close();
        assert_eq!([batch_len(&queue), batch_len(&queue)], [4, 2]);
        assert!(queue.take_batch().is_none());
    }

    #[test]
    fn many_threads_lose_no_job() {
        let queue =
            Queue::new(NAME, QueueLimits { max_jobs: 1000, max_bytes: 1 << 20, instances: 2 }, POLICY);
        let ran: usize = thread::scope(|scope| {
            let engines: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut ran = 0;
                        while let Some(batch) = queue.take_batch() {
                            assert!(batch.jobs.len() <= 4);
                            ran += batch.jobs.len();
                        }
                        ran
                    })
                })
                .collect();
            let callers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..200).map(|_| push(&queue, 1, soon())).collect::<Vec<_>>()))
                .collect();
            let receivers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
            queue.close();
            let ran = engines.into_iter().map(|engine| engine.join().unwrap()).sum();
            drop(receivers);
            ran
        });
        assert_eq!(ran, 800);
        assert_eq!(queue.load.reserved().jobs, 0);
    }
}
