//! Jobs without a model, for the tests of the queue.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    discard_reason::DiscardReason,
    policy::{BatchPolicy, QueuedJob},
    queue_state::AdmittedJob,
};
use crate::Priority;

/// A policy without delay.
pub(super) const POLICY: BatchPolicy =
    BatchPolicy { max_items: 4, max_delay: Duration::ZERO, promotion_interval: Duration::from_millis(500) };

/// The end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ran,
    Discarded(DiscardReason),
}

/// A job that reports its end. A job that is dropped without an end drops its report.
pub(super) struct TestJob {
    pub(super) items: usize,
    pub(super) items_in_flight: usize,
    pub(super) enqueued_at: Instant,
    pub(super) time_limit: Duration,
    pub(super) is_abandoned: Arc<AtomicBool>,
    pub(super) report: Box<dyn FnOnce(Outcome) + Send>,
}

impl TestJob {
    /// Creates a job of `items` items that has enough time.
    pub(super) fn new(
        items: usize,
        enqueued_at: Instant,
        report: impl FnOnce(Outcome) + Send + 'static,
    ) -> Self {
        Self {
            items,
            items_in_flight: items,
            enqueued_at,
            time_limit: Duration::from_mins(1),
            is_abandoned: Arc::default(),
            report: Box::new(report),
        }
    }

    /// Reports that the job has run.
    pub(super) fn finish(self) {
        (self.report)(Outcome::Ran);
    }
}

impl QueuedJob for TestJob {
    fn priority(&self) -> Priority {
        Priority::Normal
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

    fn same_shape(&self, _: &Self) -> bool {
        true
    }
}

impl AdmittedJob for TestJob {
    fn items_in_flight(&self) -> usize {
        self.items_in_flight
    }

    fn discard_reason(&self, now: Instant) -> Option<DiscardReason> {
        if self.deadline() <= now {
            Some(DiscardReason::Expired)
        } else {
            self.is_abandoned.load(Relaxed).then_some(DiscardReason::Abandoned)
        }
    }

    fn discard(self, reason: DiscardReason) {
        (self.report)(Outcome::Discarded(reason));
    }
}
