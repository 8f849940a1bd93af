//! The admission of jobs to the queue of one head.
//!
//! A request is admitted before its frames are decoded: it gets a [`Permit`] for its job and for the bytes of
//! its tensors. It is refused if the queue is full, or if the work ahead of it would, at the recent time per
//! item, not be done by its deadline: a late result is useless and would delay other requests. If its own work
//! takes longer than that even at the best time per item, the refusal says so, because a retry cannot help. A job
//! with nothing ahead of it is always admitted: only a run can correct an outdated time per item.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    discard_reason::DiscardReason,
    head_name::HeadName,
    permit::{Permit, QueueLoad},
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

/// The limits, the load and the pace of one head.
#[derive(Debug)]
pub(super) struct Admission {
    head: String,
    limits: QueueLimits,
    load: Arc<QueueLoad>,
    /// Recent average time per item, in nanoseconds; 0 before the first measurement.
    nanos_per_item: AtomicU64,
    /// Best time per item of any run, in nanoseconds; `u64::MAX` before the first measurement.
    best_nanos_per_item: AtomicU64,
}

/// Divisor of the limits for jobs of low priority.
const LOW_PRIORITY_DIVISOR: usize = 2;
/// Lower and upper bound of the advised retry delay.
const RETRY_DELAY_RANGE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(10)];

impl Admission {
    /// Creates the admission to an empty queue; `name` appears in errors and metrics.
    pub(super) fn new(name: HeadName<'_>, limits: QueueLimits) -> Self {
        Self {
            head: format!("{}.{}", name.bundle, name.head),
            limits,
            load: Arc::new(QueueLoad::new(HeadStats::for_head(name))),
            nanos_per_item: AtomicU64::new(0),
            best_nanos_per_item: AtomicU64::new(u64::MAX),
        }
    }

    /// Admits a job of `items` items and `bytes` bytes. A job that is larger than the whole queue is admitted if
    /// the queue is empty. `make_room` discards jobs that will not run, and returns whether there were any.
    ///
    /// # Errors
    /// [`DecodeError::Overloaded`] with the advised retry delay, [`DecodeError::DeadlineTooShort`], or
    /// [`DecodeError::DeadlineExceeded`].
    pub(super) fn admit(
        &self,
        items: usize,
        bytes: usize,
        options: RequestOptions,
        make_room: impl FnOnce() -> bool,
    ) -> Result<Permit, DecodeError> {
        let now = Instant::now();
        if options.deadline <= now {
            self.stats().record_discard(DiscardReason::Expired);
            return Err(DecodeError::DeadlineExceeded);
        }
        let mut admitted = self.try_admit(items, bytes, options, now);
        if admitted.is_err() && make_room() {
            admitted = self.try_admit(items, bytes, options, now);
        }
        admitted.inspect_err(|_| self.stats().record_refusal())
    }

    /// Updates the average and the best time per item.
    pub(super) fn update_pace(&self, items: usize, time: Duration) {
        let each = time.as_nanos() as u64 / items.max(1) as u64;
        let before = self.nanos_per_item.load(Relaxed);
        let after = if before == 0 { each } else { before - before / 8 + each / 8 };
        self.nanos_per_item.store(after, Relaxed);
        self.best_nanos_per_item.fetch_min(each, Relaxed);
    }

    /// Returns the expected time of `items` items in one session.
    pub(super) fn expected_time(&self, items: usize) -> Duration {
        Duration::from_nanos(self.nanos_per_item.load(Relaxed).saturating_mul(items as u64))
    }

    /// Returns the shortest time that `items` items may take in one session; zero before the first measurement.
    fn best_time(&self, items: usize) -> Duration {
        match self.best_nanos_per_item.load(Relaxed) {
            u64::MAX => Duration::ZERO,
            nanos => Duration::from_nanos(nanos.saturating_mul(items as u64)),
        }
    }

    /// Returns the number of items that one session is expected to run in this time.
    pub(super) fn items_within(&self, time: Duration) -> usize {
        (time.as_nanos() / self.expected_time(1).as_nanos().max(1)) as usize
    }

    /// Returns the statistics of the head.
    pub(super) fn stats(&self) -> &HeadStats {
        self.load.stats()
    }

    fn try_admit(
        &self,
        items: usize,
        bytes: usize,
        options: RequestOptions,
        now: Instant,
    ) -> Result<Permit, DecodeError> {
        let Some(permit) = self.try_reserve(items, bytes, options.priority) else {
            return Err(self.overloaded());
        };
        let ahead = self.load.items().saturating_sub(items);
        let time_left = options.deadline.saturating_duration_since(now);
        let alone = self.best_time(items);
        if ahead == 0 || alone.max(self.expected_wait(ahead + items)) <= time_left {
            return Ok(permit);
        }
        // The job does not count for the delay until a retry.
        drop(permit);
        if alone <= time_left {
            return Err(self.overloaded());
        }
        let head = self.head.clone();
        Err(DecodeError::DeadlineTooShort { head, items, expected: alone, time_left })
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

    fn overloaded(&self) -> DecodeError {
        DecodeError::Overloaded { head: self.head.clone(), retry_after: self.retry_after() }
    }

    /// Returns the expected time until half of the queued and running items are done.
    fn retry_after(&self) -> Duration {
        self.expected_wait(self.load.items() / 2).clamp(RETRY_DELAY_RANGE[0], RETRY_DELAY_RANGE[1])
    }

    /// Returns the expected time of `items` items in all sessions together.
    fn expected_wait(&self, items: usize) -> Duration {
        self.expected_time(items) / self.limits.instances.clamp(1, u32::MAX as usize) as u32
    }

    /// Returns the capacity that all permits occupy.
    #[cfg(test)]
    pub(super) fn reserved(&self) -> super::permit::Reserved {
        self.load.reserved()
    }
}

/// Returns whether `additional` can be added to `reserved` without exceeding the limit. The first job is always
/// admitted.
fn has_capacity(reserved: usize, additional: usize, limit: usize) -> bool {
    reserved == 0 || reserved + additional <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(max_jobs: usize, max_bytes: usize) -> Admission {
        let name = HeadName { bundle: "b", head: "h", version: 1 };
        Admission::new(name, QueueLimits { max_jobs, max_bytes, instances: 1 })
    }

    fn options(time: Duration, priority: Priority) -> RequestOptions {
        RequestOptions { priority, ..RequestOptions::with_timeout(time) }
    }

    fn soon() -> RequestOptions {
        options(Duration::from_mins(1), Priority::Normal)
    }

    fn admit(admission: &Admission, items: usize, options: RequestOptions) -> Result<Permit, DecodeError> {
        admission.admit(items, 8, options, || false)
    }

    #[test]
    fn a_full_queue_refuses_by_jobs_and_by_bytes() {
        let admission = admission(2, 1000);
        let permits = [admit(&admission, 1, soon()).unwrap(), admit(&admission, 1, soon()).unwrap()];
        let refused = admit(&admission, 1, soon()).unwrap_err();
        assert!(matches!(refused, DecodeError::Overloaded { .. }), "{refused}");
        drop(permits);
        let _permit = admission.admit(1, 900, soon(), || false).unwrap();
        assert!(admission.admit(1, 101, soon(), || false).is_err());
        assert!(admission.admit(1, 100, soon(), || false).is_ok());
        assert_eq!(admission.stats().counts().refused, 2);
    }

    #[test]
    fn low_priority_fills_half_and_a_job_larger_than_the_queue_is_admitted_alone() {
        let admission = admission(4, 100);
        let low = options(Duration::from_mins(1), Priority::Low);
        let permits: Vec<_> = (0..2).map(|_| admit(&admission, 1, low).unwrap()).collect();
        assert!(admit(&admission, 1, low).is_err());
        assert!(admit(&admission, 1, soon()).is_ok());
        drop(permits);
        let _large = admission.admit(9, 1000, soon(), || false).unwrap();
        assert!(admit(&admission, 1, soon()).is_err());
    }

    #[test]
    fn work_that_is_ahead_for_too_long_is_refused_with_a_retry_delay() {
        let admission = admission(100, 1000);
        admission.update_pace(1, Duration::from_millis(100));
        let short = options(Duration::from_millis(250), Priority::Normal);
        let first = admit(&admission, 4, short).unwrap();
        let refused = admit(&admission, 1, short).unwrap_err();
        assert_eq!(
            refused,
            DecodeError::Overloaded { head: "b.h".into(), retry_after: Duration::from_millis(200) }
        );
        assert!(admit(&admission, 1, soon()).is_ok());
        drop(first);
        assert!(admit(&admission, 1, short).is_ok());
        let expired = options(Duration::ZERO, Priority::Normal);
        assert_eq!(admit(&admission, 1, expired).unwrap_err(), DecodeError::DeadlineExceeded);
        assert_eq!((admission.stats().counts().refused, admission.stats().counts().expired), (1, 1));
    }

    /// A retry would be refused as well, until the queue is empty.
    #[test]
    fn a_job_that_alone_takes_longer_than_its_time_is_told_so() {
        let admission = admission(100, 1000);
        admission.update_pace(1, Duration::from_secs(1));
        let options = options(Duration::from_secs(10), Priority::Normal);
        let running = admit(&admission, 1, options).unwrap();
        let refused = admit(&admission, 32, options).unwrap_err();
        let DecodeError::DeadlineTooShort { head, items, expected, time_left } = &refused else {
            panic!("{refused}")
        };
        assert_eq!((head.as_str(), *items, *expected), ("b.h", 32, Duration::from_secs(32)));
        assert!(*time_left <= Duration::from_secs(10));
        assert!(admit(&admission, 4, options).is_ok());
        // A slow phase makes a retry worthwhile.
        admission.update_pace(1, Duration::from_secs(10));
        let refused = admit(&admission, 8, options).unwrap_err();
        assert!(matches!(refused, DecodeError::Overloaded { .. }), "{refused}");
        // The estimate may be outdated, and only a run can correct it.
        drop(running);
        assert!(admit(&admission, 32, options).is_ok());
    }

    #[test]
    fn room_is_made_once_before_a_refusal_for_any_reason() {
        let admission = admission(100, 1000);
        admission.update_pace(1, Duration::from_secs(1));
        let options = options(Duration::from_secs(10), Priority::Normal);
        let mut dead = Some(admit(&admission, 64, soon()).unwrap());
        let admitted = admission.admit(8, 8, options, || dead.take().is_some());
        assert!(admitted.is_ok());
        assert!(admission.admit(8, 8, options, || false).is_err());
        assert_eq!(admission.stats().counts().refused, 1);
    }

    #[test]
    fn the_number_of_items_within_a_time_follows_the_pace() {
        let admission = admission(1, 1);
        assert_eq!(admission.expected_time(3), Duration::ZERO);
        admission.update_pace(1, Duration::from_micros(40));
        assert_eq!(admission.items_within(Duration::from_micros(100)), 2);
        assert_eq!(admission.items_within(Duration::from_micros(39)), 0);
        admission.update_pace(4, Duration::from_micros(480));
        assert_eq!(admission.expected_time(1), Duration::from_micros(50));
    }
}
