//! What a head has done since it was started: the figures of the Open Inference Protocol's statistics and of metrics.

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

/// How often, and for how long together.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    count: AtomicU64,
    nanos: AtomicU64,
}

/// How often, and for how long together, as read at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) count: u64,
    pub(crate) nanos: u64,
}

/// The parts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunTimes {
    /// Putting the jobs' inputs together.
    pub(crate) input: Duration,
    /// The model.
    pub(crate) infer: Duration,
    /// Taking its outputs.
    pub(crate) output: Duration,
}

/// The runs of batches of one size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BatchTotals {
    pub(crate) input: Total,
    pub(crate) infer: Total,
    pub(crate) output: Total,
}

/// One head's figures; all of them only rise.
#[derive(Debug)]
pub(crate) struct Stats {
    /// Jobs that were answered: from their coming to their answer.
    pub(crate) success: Timing,
    /// Jobs that failed for another reason than those below.
    pub(crate) failure: Timing,
    /// Jobs in the queue, until their batch was taken.
    pub(crate) queue: Timing,
    /// The parts of the runs, once a job.
    pub(crate) input: Timing,
    pub(crate) infer: Timing,
    pub(crate) output: Timing,
    /// Items that ran.
    items: AtomicU64,
    /// Runs of the model.
    runs: AtomicU64,
    expired: AtomicU64,
    abandoned: AtomicU64,
    refused: AtomicU64,
    /// When a batch ran last, in milliseconds since 1970.
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
    /// Those of a head that has done nothing yet.
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

    /// A job was answered: it waited for so long, its run took these times, and all of it so long.
    pub(crate) fn answered(&self, waited: Duration, times: RunTimes, all: Duration) {
        self.queue.add(waited);
        self.input.add(times.input);
        self.infer.add(times.infer);
        self.output.add(times.output);
        self.success.add(all);
        self.instruments.answered(waited, all);
    }

    /// A job failed in its run, after so long.
    pub(crate) fn failed(&self, all: Duration) {
        self.failure.add(all);
        self.instruments.failed();
    }

    /// A job has taken a place, with so many bytes of tensors.
    pub(crate) fn came(&self, bytes: usize) {
        self.instruments.came(bytes);
    }

    /// A job has given its place back.
    pub(crate) fn went(&self, bytes: usize) {
        self.instruments.went(bytes);
    }

    /// A batch of so many items has run.
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

    /// A job left the queue without running.
    pub(crate) fn discarded(&self, why: Discarded) {
        let counter = match why {
            Discarded::Expired => &self.expired,
            Discarded::Abandoned => &self.abandoned,
        };
        counter.fetch_add(1, Relaxed);
        self.instruments.discarded(why);
    }

    /// A request was turned away.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
        self.instruments.refused();
    }

    /// The counters, as read at one time.
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

    /// The runs by the items of their batches.
    pub(crate) fn batches(&self) -> BTreeMap<usize, BatchTotals> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The counters of a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Items that ran.
    pub(crate) items: u64,
    /// Runs of the model.
    pub(crate) runs: u64,
    /// Jobs whose deadline passed in the queue.
    pub(crate) expired: u64,
    /// Jobs whose callers had gone.
    pub(crate) abandoned: u64,
    /// Requests that were turned away.
    pub(crate) refused: u64,
    /// When a batch ran last, in milliseconds since 1970; 0 for never.
    pub(crate) last_millis: u64,
}
