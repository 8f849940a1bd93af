//! The permits of a queue: the capacity that each job occupies, from its admission until it has run.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::stats::HeadStats;

/// The capacity that the permits of one queue occupy together.
#[derive(Debug)]
pub(super) struct QueueLoad {
    jobs: AtomicUsize,
    items: AtomicUsize,
    bytes: AtomicUsize,
    stats: HeadStats,
}

/// A number of jobs, with their items and the bytes of their tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reserved {
    pub(super) jobs: usize,
    pub(super) items: usize,
    pub(super) bytes: usize,
}

/// The right to occupy part of a queue; returned when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    load: Arc<QueueLoad>,
    items: usize,
    bytes: usize,
}

impl QueueLoad {
    /// Creates the load of an empty queue, which is also counted in these statistics.
    pub(super) fn new(stats: HeadStats) -> Self {
        let [jobs, items, bytes] = [0; 3].map(AtomicUsize::new);
        Self { jobs, items, bytes, stats }
    }

    /// Returns the statistics of the head.
    pub(super) fn stats(&self) -> &HeadStats {
        &self.stats
    }

    /// Returns the number of items of all queued and running jobs.
    pub(super) fn items(&self) -> usize {
        self.items.load(Relaxed)
    }

    /// Returns the capacity that all permits occupy.
    #[cfg(test)]
    pub(super) fn reserved(&self) -> Reserved {
        let Self { jobs, items, bytes, .. } = self;
        Reserved { jobs: jobs.load(Relaxed), items: items.load(Relaxed), bytes: bytes.load(Relaxed) }
    }
}

impl Permit {
    /// Reserves capacity for one job, whether it fits or not; also returns the capacity that was occupied
    /// before.
    pub(super) fn reserve(load: &Arc<QueueLoad>, items: usize, bytes: usize) -> (Self, Reserved) {
        let before = Reserved {
            jobs: load.jobs.fetch_add(1, Relaxed),
            bytes: load.bytes.fetch_add(bytes, Relaxed),
            items: load.items.fetch_add(items, Relaxed),
        };
        load.stats.record_permit(bytes);
        (Self { load: Arc::clone(load), items, bytes }, before)
    }

    /// Returns the number of items of all queued and running jobs of the queue.
    pub(super) fn items_in_flight(&self) -> usize {
        self.load.items()
    }

    /// Returns the statistics of the head.
    pub(super) fn stats(&self) -> &HeadStats {
        self.load.stats()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.load.jobs.fetch_sub(1, Relaxed);
        self.load.items.fetch_sub(self.items, Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Relaxed);
        self.load.stats.record_release(self.bytes);
    }
}
