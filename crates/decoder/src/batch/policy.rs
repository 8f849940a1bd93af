//! Selects which jobs run together, and when, as a pure function of the queue and the time: it has neither a
//! clock nor a lock.
//!
//! The most urgent job leads the batch: the oldest job of the highest class. A job rises by one class per
//! [`BatchPolicy::promotion_interval`] of waiting, so that no job starves. Jobs with the leader's input shape
//! join it in the same order, as long as they fit. The batch runs at once if it is full, if it has the expected
//! number of items, or if one of its jobs has waited for [`BatchPolicy::max_delay`] or for half of the time until
//! its deadline; otherwise it waits for the first of these events.
//!
//! [`ConcurrencyEstimate`] provides the expected number of items: about the number of items that were recently
//! queued or running at the same time. A single caller that waits for each response before it sends the next
//! request is therefore never delayed.

use std::time::{Duration, Instant};

use crate::Priority;

/// The properties of a queued job that the policy requires.
pub(crate) trait QueuedJob {
    /// Returns the priority class.
    fn priority(&self) -> Priority;
    /// Returns the time at which the job was enqueued.
    fn enqueued_at(&self) -> Instant;
    /// Returns the time after which the result is useless.
    fn deadline(&self) -> Instant;
    /// Returns the number of items that the job adds to a batch, at least 1.
    fn items(&self) -> usize;
    /// Returns whether both jobs can be in one batch.
    fn same_shape(&self, other: &Self) -> bool;
}

/// The limits of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchPolicy {
    /// Maximum number of items per batch. A job with more items runs alone.
    pub(crate) max_items: usize,
    /// Maximum time that a job may be delayed so that others can join it.
    pub(crate) max_delay: Duration,
    /// Waiting time after which a job rises by one class.
    pub(crate) promotion_interval: Duration,
}

/// The result of [`BatchPolicy::decide`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Run these jobs, given by their indices in the queue.
    Run(Vec<usize>),
    /// Decide again at this time, or after more jobs were enqueued.
    Wait(Instant),
    /// The queue is empty.
    Idle,
}

impl BatchPolicy {
    /// Decides how to proceed with this queue, if about `expected` items usually arrive together.
    pub(crate) fn decide<J: QueuedJob>(&self, jobs: &[J], expected: usize, now: Instant) -> Decision {
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|&index| (self.effective_class(&jobs[index], now), jobs[index].enqueued_at()));
        let Some(&leader) = order.first() else { return Decision::Idle };
        let mut items = 0;
        let mut due = self.due(&jobs[leader]);
        let mut complete = false;
        let mut batch = Vec::new();
        for index in order {
            let job = &jobs[index];
            if !job.same_shape(&jobs[leader]) {
                continue;
            }
            if !batch.is_empty() && items + job.items() > self.max_items {
                complete = true;
                continue;
            }
            items += job.items();
            due = due.min(self.due(job));
            batch.push(index);
        }
        if complete || items >= expected.min(self.max_items) || due <= now {
            Decision::Run(batch)
        } else {
            Decision::Wait(due)
        }
    }

    /// Returns the time at which a job runs even if none has joined it: after the delay, or earlier if half of the
    /// time until its deadline is shorter.
    pub(crate) fn due<J: QueuedJob>(&self, job: &J) -> Instant {
        let time_limit = job.deadline().saturating_duration_since(job.enqueued_at());
        job.enqueued_at() + self.max_delay.min(time_limit / 2)
    }

    /// Returns the class of a job after its waiting time; smaller is more urgent.
    fn effective_class<J: QueuedJob>(&self, job: &J, now: Instant) -> u128 {
        let waited = now.saturating_duration_since(job.enqueued_at()).as_nanos();
        let promotions = waited.checked_div(self.promotion_interval.as_nanos()).unwrap_or(0);
        (job.priority() as u128).saturating_sub(promotions)
    }
}

/// Estimate of the number of items that are queued or running at the same time: the recent peak, which decays
/// towards the current number by an eighth per batch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConcurrencyEstimate(f32);

impl ConcurrencyEstimate {
    /// Raises the estimate to `items`, the current number of items, after a job was enqueued.
    pub(crate) fn raise_to(&mut self, items: usize) {
        self.0 = self.0.max(items as f32);
    }

    /// Decays the estimate towards `items`, the current number of items, which includes the batch that was just
    /// taken.
    pub(crate) fn decay_to(&mut self, items: usize) {
        self.0 += (items as f32 - self.0) / 8.0;
    }

    /// Returns the number of items that each session may expect, at least 1.
    pub(crate) fn expected_items(self, instances: usize) -> usize {
        ((self.0 / instances.max(1) as f32).round() as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    struct Job {
        priority: Priority,
        enqueued_at: Instant,
        time_limit: Duration,
        items: usize,
        shape: u8,
    }

    impl QueuedJob for Job {
        fn priority(&self) -> Priority {
            self.priority
        }
        fn enqueued_at(&self) -> Instant {
            self.enqueued_at
        }
        fn deadline(&self) -> Instant {
            self.enqueued_at + self.time_limit
        }
        fn items(&self) -> usize {
            self.items
        }
        fn same_shape(&self, other: &Self) -> bool {
            self.shape == other.shape
        }
    }

    const POLICY: BatchPolicy = BatchPolicy {
        max_items: 8,
        max_delay: Duration::from_millis(1),
        promotion_interval: Duration::from_millis(500),
    };
    const CLASSES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    fn job(start: Instant, micros: u64, items: usize) -> Job {
        let enqueued_at = start + Duration::from_micros(micros);
        let time_limit = Duration::from_mins(1);
        Job { priority: Priority::Normal, enqueued_at, time_limit, items, shape: 0 }
    }

    #[test]
    fn a_single_job_runs_at_once_and_expected_jobs_are_waited_for() {
        let start = Instant::now();
        let jobs = [job(start, 0, 1)];
        assert_eq!(POLICY.decide(&jobs, 1, start), Decision::Run(vec![0]));
        let due = start + POLICY.max_delay;
        assert_eq!(POLICY.decide(&jobs, 3, start), Decision::Wait(due));
        assert_eq!(POLICY.decide(&jobs, 3, due), Decision::Run(vec![0]));
        let jobs = [job(start, 0, 1), job(start, 1, 1), job(start, 2, 1)];
        assert_eq!(POLICY.decide(&jobs, 3, start), Decision::Run(vec![0, 1, 2]));
        assert_eq!(POLICY.decide::<Job>(&[], 3, start), Decision::Idle);
    }

    /// Otherwise a job would expire while all sessions are free.
    #[test]
    fn no_job_is_held_back_for_more_than_half_of_its_time() {
        let start = Instant::now();
        let mut jobs = [job(start, 0, 1), job(start, 100, 1)];
        jobs[1].time_limit = Duration::from_micros(600);
        let due = start + Duration::from_micros(400);
        assert_eq!(POLICY.decide(&jobs, 3, start + Duration::from_micros(100)), Decision::Wait(due));
        assert_eq!(POLICY.decide(&jobs, 3, due), Decision::Run(vec![0, 1]));
        jobs[1].time_limit = Duration::ZERO;
        assert_eq!(POLICY.decide(&jobs, 3, jobs[1].enqueued_at), Decision::Run(vec![0, 1]));
    }

    #[test]
    fn urgent_jobs_lead_until_older_ones_are_promoted() {
        let start = Instant::now();
        let mut jobs = [job(start, 0, 8), job(start, 10, 8), job(start, 20, 8)];
        jobs[0].priority = Priority::Low;
        jobs[2].priority = Priority::High;
        assert_eq!(POLICY.decide(&jobs, 1, start), Decision::Run(vec![2]));
        // After two promotions, the low job has reached the highest class and is older.
        assert_eq!(POLICY.decide(&jobs, 1, start + 2 * POLICY.promotion_interval), Decision::Run(vec![0]));
    }

    #[test]
    fn the_concurrency_estimate_decays() {
        let mut estimate = ConcurrencyEstimate::default();
        assert_eq!(estimate.expected_items(1), 1);
        estimate.raise_to(8);
        assert_eq!((estimate.expected_items(1), estimate.expected_items(2)), (8, 4));
        (0..40).for_each(|_| estimate.decay_to(1));
        assert_eq!(estimate.expected_items(1), 1);
    }

    fn queue(start: Instant) -> impl Strategy<Value = Vec<Job>> {
        let job = (0..3_usize, 0..3_000_u64, 1..12_usize, 0..3_u8).prop_map(
            move |(class, micros, items, shape)| Job {
                priority: CLASSES[class],
                shape,
                ..job(start, micros, items)
            },
        );
        prop::collection::vec(job, 0..40)
    }

    proptest! {
        #[test]
        fn a_batch_has_one_shape_within_its_limits_and_no_job_waits_too_long(
            jobs in queue(*START), expected in 1..20_usize, wait in 0..5_000_u64,
        ) {
            let now = *START + Duration::from_micros(wait);
            let jobs: Vec<Job> = jobs.into_iter().filter(|job| job.enqueued_at <= now).collect();
            match POLICY.decide(&jobs, expected, now) {
                Decision::Idle => prop_assert!(jobs.is_empty()),
                Decision::Wait(until) => {
                    prop_assert!(until > now && until <= now + POLICY.max_delay);
                }
                Decision::Run(batch) => {
                    let items: usize = batch.iter().map(|&index| jobs[index].items).sum();
                    prop_assert!(!batch.is_empty() && (items <= POLICY.max_items || batch.len() == 1));
                    prop_assert!(batch.iter().all(|&index| jobs[index].shape == jobs[batch[0]].shape));
                    let indices: std::collections::HashSet<_> = batch.iter().collect();
                    prop_assert_eq!(indices.len(), batch.len());
                    let first = |job: &Job| (job.priority, job.enqueued_at);
                    let most_urgent = jobs.iter().map(first).min();
                    prop_assert_eq!(most_urgent, batch.iter().map(|&index| first(&jobs[index])).min());
                }
            }
        }

        /// Simulates time: jobs are enqueued, the engine is always free, and all jobs run. A leading job is
        /// never delayed beyond the limit.
        #[test]
        fn every_job_runs_once(jobs in queue(*START), expected in 1..20_usize) {
            let mut upcoming = jobs;
            upcoming.sort_by_key(|job| std::cmp::Reverse(job.enqueued_at));
            let total = upcoming.len();
            let (mut now, mut queue, mut ran) = (*START, Vec::new(), 0);
            while ran < total {
                while upcoming.last().is_some_and(|job| job.enqueued_at <= now) {
                    queue.extend(upcoming.pop());
                }
                match POLICY.decide(&queue, expected, now) {
                    Decision::Idle => now = upcoming.last().unwrap().enqueued_at,
                    Decision::Wait(until) => {
                        now = upcoming.last().map_or(until, |next| until.min(next.enqueued_at));
                    }
                    Decision::Run(mut batch) => {
                        batch.sort_unstable();
                        ran += batch.len();
                        for index in batch.into_iter().rev() {
                            queue.swap_remove(index);
                        }
                        prop_assert!(queue.iter().all(|job| job.enqueued_at <= now));
                    }
                }
            }
            prop_assert!(queue.is_empty() && upcoming.is_empty());
        }
    }

    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
}
