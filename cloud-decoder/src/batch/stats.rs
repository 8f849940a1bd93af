//! Statistics of a head since it was started, for the Open Inference Protocol and for metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    job::Discarded,
    metrics::{HeadName, Instruments},
};

/// Atomic count and total duration of an event.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    count: AtomicU64,
    nanos: AtomicU64,
}

/// Count and total duration of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) count: u64,
    pub(crate) nanos: u64,
}

/// Durations of the phases of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunTimes {
    /// Assembling the inputs of the jobs.
    pub(crate) input: Duration,
    /// Running the model.
    pub(crate) infer: Duration,
    /// Extracting the outputs.
    pub(crate) output: Duration,
}

/// Totals of the runs of one batch size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BatchTotals {
    pub(crate) input: Total,
    pub(crate) infer: Total,
    pub(crate) output: Total,
}

/// Statistics of one head; all values only increase.
#[derive(Debug)]
pub(crate) struct Stats {
    /// Successful jobs, from the queue to the result.
    pub(crate) success: Timing,
    /// Jobs whose run failed.
    pub(crate) failure: Timing,
    /// Time of successful jobs in the queue, until their batch was taken.
    pub(crate) queue: Timing,
    /// The phases of the runs, counted once per job.
    pub(crate) input: Timing,
    pub(crate) infer: Timing,
    pub(crate) output: Timing,
    /// Number of items that were run.
    items: AtomicU64,
    /// Number of model runs.
    runs: AtomicU64,
    expired: AtomicU64,
    abandoned: AtomicU64,
    refused: AtomicU64,
    /// Time of the last run, in Unix milliseconds; 0 before the first run.
    last: AtomicU64,
    batches: Mutex<BTreeMap<usize, BatchTotals>>,
    instruments: Instruments,
}

impl Timing {
    pub(crate) fn add(&self, time: Duration) {
        self.count.fetch_add(1, Relaxed);
        self.nanos.fetch_add(time.as_nanos() as u64, Relaxed);
    }

    pub(crate) fn total(&self) -> Total {
        Total { count: self.count.load(Relaxed), nanos: self.nanos.load(Relaxed) }
    }
}

impl Total {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.nanos += time.as_nanos() as u64;
    }
}

impl Stats {
    /// Creates the statistics of a head that was just started.
    pub(crate) fn of(name: HeadName<'_>) -> Self {
        Self {
            success: Timing::default(),
            failure: Timing::default(),
            queue: Timing::default(),
            input: Timing::default(),
            infer: Timing::default(),
            output: Timing::default(),
            items: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last: AtomicU64::new(0),
            batches: Mutex::default(),
            instruments: Instruments::of(name),
        }
    }

    /// Records a successful job: its time in the queue, the phases of its run and its total time.
    pub(crate) fn answered(&self, waited: Duration, times: RunTimes, all: Duration) {
        self.queue.add(waited);
        self.input.add(times.input);
        self.infer.add(times.infer);
        self.output.add(times.output);
        self.success.add(all);
        self.instruments.answered(waited, all);
    }

    /// Records a job whose run failed, with its total time.
    pub(crate) fn failed(&self, all: Duration) {
        self.failure.add(all);
        self.instruments.failed();
    }

    /// Records a new permit for a job with `bytes` bytes of tensors.
    pub(crate) fn came(&self, bytes: usize) {
        self.instruments.came(bytes);
    }

    /// Records a returned permit for a job with `bytes` bytes of tensors.
    pub(crate) fn went(&self, bytes: usize) {
        self.instruments.went(bytes);
    }

    /// Records a run of a batch of `items` items.
    pub(crate) fn ran(&self, items: usize, times: RunTimes) {
        self.items.fetch_add(items as u64, Relaxed);
        self.runs.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last.store(now.as_millis() as u64, Relaxed);
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = batches.entry(items).or_default();
        totals.input.add(times.input);
        totals.infer.add(times.infer);
        totals.output.add(times.output);
        drop(batches);
        self.instruments.ran(items, times);
    }

    /// Records a job that was dropped without running.
    pub(crate) fn discarded(&self, why: Discarded) {
        let counter = match why {
            Discarded::Expired => &self.expired,
            Discarded::Abandoned => &self.abandoned,
        };
        counter.fetch_add(1, Relaxed);
        self.instruments.discarded(why);
    }

    /// Records a refused request.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
        self.instruments.refused();
    }

    /// Returns the current counters.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            items: self.items.load(Relaxed),
            runs: self.runs.load(Relaxed),
            expired: self.expired.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
            refused: self.refused.load(Relaxed),
            last_millis: self.last.load(Relaxed),
        }
    }

    /// Returns the totals of the runs by batch size, in items.
    pub(crate) fn batches(&self) -> BTreeMap<usize, BatchTotals> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The counters of a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Number of items that were run.
    pub(crate) items: u64,
    /// Number of model runs.
    pub(crate) runs: u64,
    /// Jobs whose deadline passed before they ran.
    pub(crate) expired: u64,
    /// Jobs whose callers had stopped waiting.
    pub(crate) abandoned: u64,
    /// Requests that were refused.
    pub(crate) refused: u64,
    /// Time of the last run, in Unix milliseconds; 0 before the first run.
    pub(crate) last_millis: u64,
}
