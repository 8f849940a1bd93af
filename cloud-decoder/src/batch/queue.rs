//! The bounded queue of one head: admission, waiting and taking a batch.
//!
//! A request is admitted before its frames are decoded: it gets a [`Permit`] for its job and for the bytes of
//! its tensors. It is refused if the queue is full, or if the work ahead of it would, at the recent time per
//! item, not be done by its deadline: a late result is useless and would delay other requests.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    job::{Discarded, Job, Terms},
    metrics::HeadName,
    policy::{Crowd, Decision, Policy, Priority},
    stats::Stats,
};
use crate::ServeError;

/// Limits on the work queued for one head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Maximum number of jobs, including running jobs.
    pub(crate) jobs: usize,
    /// Maximum bytes of the tensors of these jobs.
    pub(crate) bytes: usize,
    /// Number of sessions that take batches from the queue.
    pub(crate) instances: usize,
}

/// The bounded queue of one head.
#[derive(Debug)]
pub(crate) struct Queue {
    head: Arc<str>,
    bounds: Bounds,
    policy: Policy,
    state: Mutex<State>,
    wake: Condvar,
    closed: AtomicBool,
    jobs: AtomicUsize,
    items: AtomicUsize,
    bytes: AtomicUsize,
    /// Recent average time per item, in nanoseconds; 0 before the first measurement.
    pace: AtomicU64,
    pub(crate) stats: Stats,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    crowd: Crowd,
}

/// The right to occupy part of the queue; returned when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    queue: Arc<Queue>,
    items: usize,
    bytes: usize,
}

/// Jobs that run together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) jobs: Vec<Job>,
    pub(crate) taken: Instant,
}

/// Divisor of the bounds for jobs of low priority.
const LOW_SHARE: usize = 2;
/// Lower and upper bound of the advised retry delay.
const RETRY: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(10)];

impl Queue {
    /// Creates an empty queue; `name` appears in errors and metrics.
    pub(crate) fn new(name: HeadName<'_>, bounds: Bounds, policy: Policy) -> Arc<Self> {
        Arc::new(Self {
            head: format!("{}.{}", name.bundle, name.head).into(),
            bounds,
            policy,
            state: Mutex::default(),
            wake: Condvar::new(),
            closed: AtomicBool::new(false),
            jobs: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            pace: AtomicU64::new(0),
            stats: Stats::of(name),
        })
    }

    /// Admits a job of `items` items and `bytes` bytes. A job that is larger than the whole queue is admitted if
    /// the queue is empty.
    ///
    /// # Errors
    /// [`ServeError::Overloaded`] with the advised retry delay, or [`ServeError::DeadlineExceeded`].
    pub(crate) fn admit(
        self: &Arc<Self>,
        items: usize,
        bytes: usize,
        terms: Terms,
    ) -> Result<Permit, ServeError> {
        let now = Instant::now();
        if terms.deadline <= now {
            self.stats.discarded(Discarded::Expired);
            return Err(ServeError::DeadlineExceeded);
        }
        let mut permit = self.place(items, bytes, terms.priority);
        if permit.is_none() {
            self.discard(now);
            permit = self.place(items, bytes, terms.priority);
        }
        permit.filter(|_| self.in_time(items, terms, now)).ok_or_else(|| {
            self.stats.refused();
            ServeError::Overloaded { head: self.head.to_string(), retry_after: self.retry_after() }
        })
    }

    /// Enqueues a job. If `wake` is true, wakes an engine thread when the job is the first in the queue or the
    /// expected number of items is reached.
    pub(crate) fn push(&self, job: Job, wake: bool) {
        let mut state = self.lock();
        state.jobs.push(job);
        state.crowd.saw(self.items.load(Relaxed));
        let waiting = || state.jobs.iter().map(|job| job.question.items()).sum::<usize>();
        let wake = wake && (state.jobs.len() == 1 || waiting() >= self.expected(&state));
        drop(state);
        if wake {
            self.wake();
        }
    }

    /// Wakes one engine thread.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for the next batch; returns `None` when the queue is closed and empty.
    pub(crate) fn take(&self) -> Option<Batch> {
        loop {
            let mut state = self.lock();
            let now = Instant::now();
            let dead = sweep(&mut state.jobs, now);
            if !dead.is_empty() {
                drop(state);
                self.answer(dead);
                continue;
            }
            match self.policy.decide(&state.jobs, self.expected(&state), now) {
                Decision::Run(places) => return Some(self.batch(&mut state, places, now)),
                Decision::Wait(until) => {
                    let time = until.saturating_duration_since(now);
                    drop(self.wake.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner));
                }
                Decision::Idle if self.closed.load(Relaxed) => return None,
                Decision::Idle => drop(self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)),
            }
        }
    }

    /// Returns the batch that can run now, limited to an expected time of about `longest`; `None` if the queue
    /// is empty.
    pub(crate) fn take_now(&self, longest: Duration) -> Option<Batch> {
        let mut state = self.lock();
        let now = Instant::now();
        let dead = sweep(&mut state.jobs, now);
        let most = longest.as_nanos() / self.time_of(1).as_nanos().max(1);
        let max_items = self.policy.max_items.min(most as usize).max(1);
        let batch = match (Policy { max_items, ..self.policy }).decide(&state.jobs, 1, now) {
            Decision::Run(places) => Some(self.batch(&mut state, places, now)),
            Decision::Wait(_) | Decision::Idle => None,
        };
        drop(state);
        self.answer(dead);
        batch
    }

    /// Updates the average time per item.
    pub(crate) fn paced(&self, items: usize, time: Duration) {
        let each = time.as_nanos() as u64 / items.max(1) as u64;
        let before = self.pace.load(Relaxed);
        let after = if before == 0 { each } else { before - before / 8 + each / 8 };
        self.pace.store(after, Relaxed);
    }

    /// Closes the queue: engine threads exit after the last job. The caller enqueues no further jobs.
    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
        // The lock is required so that an engine thread between its check and its wait does not miss the
        // notification.
        let state = self.lock();
        self.wake.notify_all();
        drop(state);
    }

    /// Returns whether the queue is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    fn batch(&self, state: &mut State, mut places: Vec<usize>, taken: Instant) -> Batch {
        // Jobs are removed from the back, so that the indices before them stay valid.
        places.sort_unstable_by(|a, b| b.cmp(a));
        let mut jobs: Vec<Job> = places.into_iter().map(|place| state.jobs.swap_remove(place)).collect();
        jobs.sort_by_key(|job| job.arrived);
        state.crowd.forget(self.items.load(Relaxed));
        if !state.jobs.is_empty() && self.bounds.instances > 1 {
            self.wake.notify_one();
        }
        Batch { jobs, taken }
    }

    fn expected(&self, state: &State) -> usize {
        state.crowd.expected(self.bounds.instances).min(self.policy.max_items)
    }

    /// Returns a permit if the queue has capacity.
    fn place(self: &Arc<Self>, items: usize, bytes: usize, priority: Priority) -> Option<Permit> {
        let share = if priority == Priority::Low { LOW_SHARE } else { 1 };
        let fits = |taken: usize, more: usize, bound: usize| taken == 0 || taken + more <= bound / share;
        let jobs = self.jobs.fetch_add(1, Relaxed);
        let before = self.bytes.fetch_add(bytes, Relaxed);
        self.items.fetch_add(items, Relaxed);
        self.stats.came(bytes);
        // Created before the check, so that its drop undoes the additions of a refused job.
        let permit = Permit { queue: Arc::clone(self), items, bytes };
        (fits(jobs, 1, self.bounds.jobs) && fits(before, bytes, self.bounds.bytes)).then_some(permit)
    }

    /// Returns whether the jobs ahead and `items`, which are already counted, will be done by the deadline. A
    /// job with nothing ahead of it is always in time.
    fn in_time(&self, items: usize, terms: Terms, now: Instant) -> bool {
        let before = self.items.load(Relaxed).saturating_sub(items);
        before == 0 || now + self.work(before + items) <= terms.deadline
    }

    /// Returns the expected time of `items` items in one session.
    pub(crate) fn time_of(&self, items: usize) -> Duration {
        Duration::from_nanos(self.pace.load(Relaxed).saturating_mul(items as u64))
    }

    /// Returns the expected time of `items` items in all sessions together.
    fn work(&self, items: usize) -> Duration {
        self.time_of(items) / self.bounds.instances.clamp(1, u32::MAX as usize) as u32
    }

    /// Returns the expected time until half of the queued and running items are done.
    fn retry_after(&self) -> Duration {
        self.work(self.items.load(Relaxed) / 2).clamp(RETRY[0], RETRY[1])
    }

    /// Drops expired and abandoned jobs.
    fn discard(&self, now: Instant) {
        let dead = sweep(&mut self.lock().jobs, now);
        self.answer(dead);
    }

    fn answer(&self, dead: Vec<(Job, Discarded)>) {
        for (job, why) in dead {
            self.stats.discarded(why);
            let _ = job.answer.send(Err(ServeError::DeadlineExceeded));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.queue.jobs.fetch_sub(1, Relaxed);
        self.queue.items.fetch_sub(self.items, Relaxed);
        self.queue.bytes.fetch_sub(self.bytes, Relaxed);
        self.queue.stats.went(self.bytes);
    }
}

/// Removes the jobs that must not run, and returns them with the reasons.
fn sweep(jobs: &mut Vec<Job>, now: Instant) -> Vec<(Job, Discarded)> {
    let mut dead = Vec::new();
    let mut place = 0;
    while let Some(job) = jobs.get(place) {
        match job.discarded(now) {
            Some(why) => dead.push((jobs.swap_remove(place), why)),
            None => place += 1,
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
    use crate::model::{Input, Question, Share};

    type Answer = oneshot::Receiver<Result<Share, ServeError>>;

    const POLICY: Policy =
        Policy { max_items: 4, max_delay: Duration::ZERO, patience: Duration::from_millis(500) };

    const NAME: HeadName<'static> = HeadName { bundle: "b", head: "h", version: 1 };

    fn queue(jobs: usize, bytes: usize) -> Arc<Queue> {
        Queue::new(NAME, Bounds { jobs, bytes, instances: 1 }, POLICY)
    }

    fn terms(time: Duration, priority: Priority) -> Terms {
        Terms { priority, ..Terms::within(time) }
    }

    fn soon() -> Terms {
        terms(Duration::from_mins(1), Priority::Normal)
    }

    fn push(queue: &Arc<Queue>, items: usize, terms: Terms) -> Answer {
        let (answer, answered) = oneshot::channel();
        let input = Input { name: "z".into(), shape: vec![items, 1], values: Arc::new(vec![0.0; items]) };
        let question = Question { inputs: vec![input], output_lens: vec![items] };
        let permit = queue.admit(items, 8 * items, terms).unwrap();
        let (request, waiting, arrived) = (Span::none(), Span::none(), Instant::now());
        queue.push(Job { question, terms, arrived, request, waiting, answer, permit }, true);
        answered
    }

    fn taken(queue: &Queue) -> usize {
        queue.take().map_or(0, |batch| batch.jobs.len())
    }

    #[test]
    fn what_is_expired_or_abandoned_never_enters_a_batch_and_is_counted() {
        let queue = queue(9, 1000);
        let gone = push(&queue, 1, soon());
        drop(gone);
        let mut expired = push(&queue, 1, soon());
        queue.lock().jobs[1].terms.deadline = Instant::now();
        let _answer = push(&queue, 1, soon());
        let batch = queue.take().unwrap();
        assert_eq!(batch.jobs.len(), 1);
        assert!(batch.jobs.iter().all(|job| !job.answer.is_closed() && job.terms.deadline > batch.taken));
        let counts = queue.stats.counts();
        assert_eq!((counts.expired, counts.abandoned, counts.refused), (1, 1, 0));
        assert_eq!(expired.try_recv().unwrap().unwrap_err(), ServeError::DeadlineExceeded);
        // Only the job that was taken still holds its permit.
        assert_eq!(
            (queue.jobs.load(Relaxed), queue.items.load(Relaxed), queue.bytes.load(Relaxed)),
            (1, 1, 8)
        );
        drop(batch);
        assert_eq!(
            (queue.jobs.load(Relaxed), queue.items.load(Relaxed), queue.bytes.load(Relaxed)),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_full_queue_refuses_by_jobs_and_by_bytes_and_a_caller_who_left_still_counts() {
        let queue = queue(2, 1000);
        let first = push(&queue, 1, soon());
        let second = push(&queue, 1, soon());
        let refused = queue.admit(1, 8, soon()).unwrap_err();
        assert!(matches!(refused, ServeError::Overloaded { .. }), "{refused}");
        // A running job holds its permit even if its caller has stopped waiting.
        let batch = queue.take().unwrap();
        drop(first);
        assert!(queue.admit(1, 8, soon()).is_err());
        drop(batch);
        drop(second);
        let _permit = queue.admit(1, 900, soon()).unwrap();
        assert!(queue.admit(1, 101, soon()).is_err());
        assert!(queue.admit(1, 100, soon()).is_ok());
        assert_eq!(queue.stats.counts().refused, 3);
    }

    #[test]
    fn room_is_made_by_what_waits_for_nobody() {
        let queue = queue(2, 1000);
        let (first, _second) = (push(&queue, 1, soon()), push(&queue, 1, soon()));
        drop(first);
        assert!(queue.admit(1, 8, soon()).is_ok());
        assert_eq!(queue.stats.counts().abandoned, 1);
    }

    #[test]
    fn low_priority_fills_half_and_a_job_larger_than_the_queue_gets_in_alone() {
        let queue = queue(4, 100);
        let low = terms(Duration::from_mins(1), Priority::Low);
        let kept: Vec<_> = (0..2).map(|_| queue.admit(1, 8, low).unwrap()).collect();
        assert!(queue.admit(1, 8, low).is_err());
        assert!(queue.admit(1, 8, soon()).is_ok());
        drop(kept);
        let _large = queue.admit(9, 1000, soon()).unwrap();
        assert!(queue.admit(1, 8, soon()).is_err());
    }

    #[test]
    fn what_cannot_be_done_in_time_is_refused_at_once_with_advice() {
        let queue = queue(100, 1000);
        queue.paced(1, Duration::from_millis(100));
        let short = terms(Duration::from_millis(50), Priority::Normal);
        // The first job has nothing ahead of it, so it is always admitted.
        let first = queue.admit(4, 8, short).unwrap();
        let ServeError::Overloaded { retry_after, .. } = queue.admit(1, 8, short).unwrap_err() else {
            panic!("it was not refused")
        };
        assert_eq!(retry_after, Duration::from_millis(200));
        assert!(queue.admit(1, 8, soon()).is_ok());
        drop(first);
        assert!(queue.admit(1, 8, short).is_ok());
        assert_eq!(
            queue.admit(1, 8, Terms::within(Duration::ZERO)).unwrap_err(),
            ServeError::DeadlineExceeded
        );
    }

    #[test]
    fn a_closed_queue_is_finished_first() {
        let queue = queue(9, 1000);
        let _answers: Vec<_> = (0..6).map(|_| push(&queue, 1, soon())).collect();
        queue.close();
        assert_eq!([taken(&queue), taken(&queue)], [4, 2]);
        assert!(queue.take().is_none());
    }

    #[test]
    fn many_threads_lose_no_job() {
        let queue = Queue::new(NAME, Bounds { jobs: 1000, bytes: 1 << 20, instances: 2 }, POLICY);
        let ran: usize = thread::scope(|scope| {
            let engines: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut ran = 0;
                        while let Some(batch) = queue.take() {
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
            let answers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
            queue.close();
            let ran = engines.into_iter().map(|engine| engine.join().unwrap()).sum();
            drop(answers);
            ran
        });
        assert_eq!(ran, 800);
        assert_eq!(queue.jobs.load(Relaxed), 0);
    }
}
