//! Statistics of a head since it was started, for the Open Inference Protocol and for metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{discard_reason::DiscardReason, head_name::HeadName, metrics::HeadMetrics};
use crate::model::RunTimes;

/// Atomic count and total duration of an event.
#[derive(Debug, Default)]
pub struct TimingCounter {
    count: AtomicU64,
    nanos: AtomicU64,
}

/// Count and total duration of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimingTotal {
    /// Number of events.
    pub count: u64,
    /// Total duration in nanoseconds.
    pub nanos: u64,
}

/// Totals of the runs of one batch size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchTotals {
    /// Assembling the inputs of the jobs.
    pub input: TimingTotal,
    /// Running the model.
    pub infer: TimingTotal,
    /// Extracting the outputs.
    pub output: TimingTotal,
}

/// Statistics of one head; all values only increase.
#[derive(Debug)]
pub struct HeadStats {
    /// Successful jobs, from the queue to the result.
    pub success: TimingCounter,
    /// Jobs whose run failed.
    pub failure: TimingCounter,
    /// Time of successful jobs in the queue, until their batch was dequeued.
    pub queue: TimingCounter,
    /// Assembling the inputs of a run, counted once per job.
    pub input: TimingCounter,
    /// Running the model, counted once per job.
    pub infer: TimingCounter,
    /// Extracting the outputs of a run, counted once per job.
    pub output: TimingCounter,
    /// Number of items that were run.
    items: AtomicU64,
    /// Number of model runs.
    runs: AtomicU64,
    expired: AtomicU64,
    abandoned: AtomicU64,
    refused: AtomicU64,
    /// Time of the last run, in Unix milliseconds; 0 before the first run.
    last_run_ms: AtomicU64,
    batches: Mutex<BTreeMap<usize, BatchTotals>>,
    metrics: HeadMetrics,
}

impl TimingCounter {
    pub(crate) fn add(&self, time: Duration) {
        self.count.fetch_add(1, Relaxed);
        self.nanos.fetch_add(time.as_nanos() as u64, Relaxed);
    }

    /// Returns the count and the total duration so far.
    #[must_use]
    pub fn total(&self) -> TimingTotal {
        TimingTotal { count: self.count.load(Relaxed), nanos: self.nanos.load(Relaxed) }
    }
}

impl TimingTotal {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.nanos += time.as_nanos() as u64;
    }
}

impl HeadStats {
    /// Creates the statistics of a head that was just started.
    pub(crate) fn for_head(name: HeadName<'_>) -> Self {
        Self {
            success: TimingCounter::default(),
            failure: TimingCounter::default(),
            queue: TimingCounter::default(),
            input: TimingCounter::default(),
            infer: TimingCounter::default(),
            output: TimingCounter::default(),
            items: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_run_ms: AtomicU64::new(0),
            batches: Mutex::default(),
            metrics: HeadMetrics::for_head(name),
        }
    }

    /// Records a successful job: its time in the queue, the phases of its run and its total time.
    pub(crate) fn record_success(&self, queue_time: Duration, times: RunTimes, total_time: Duration) {
        self.queue.add(queue_time);
        self.input.add(times.input);
        self.infer.add(times.infer);
        self.output.add(times.output);
        self.success.add(total_time);
        self.metrics.record_success(queue_time, total_time);
    }

    /// Records a job whose run failed, with its total time.
    pub(crate) fn record_failure(&self, total_time: Duration) {
        self.failure.add(total_time);
        self.metrics.record_failure();
    }

    /// Records a new permit for a job with `bytes` bytes of tensors.
    pub(crate) fn record_permit(&self, bytes: usize) {
        self.metrics.add_job(bytes);
    }

    /// Records a returned permit for a job with `bytes` bytes of tensors.
    pub(crate) fn record_release(&self, bytes: usize) {
        self.metrics.remove_job(bytes);
    }

    /// Records a run of a batch of `items` items.
    pub(crate) fn record_run(&self, items: usize, times: RunTimes) {
        self.items.fetch_add(items as u64, Relaxed);
        self.runs.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_run_ms.store(now.as_millis() as u64, Relaxed);
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = batches.entry(items).or_default();
        totals.input.add(times.input);
        totals.infer.add(times.infer);
        totals.output.add(times.output);
        drop(batches);
        self.metrics.record_run(items, times);
    }

    /// Records a job that was dropped without running.
    pub(crate) fn record_discard(&self, reason: DiscardReason) {
        let counter = match reason {
            DiscardReason::Expired => &self.expired,
            DiscardReason::Abandoned => &self.abandoned,
        };
        counter.fetch_add(1, Relaxed);
        self.metrics.record_discard(reason);
    }

    /// Records a refused request.
    pub(crate) fn record_refusal(&self) {
        self.refused.fetch_add(1, Relaxed);
        self.metrics.record_refusal();
    }

    /// Returns the current counters.
    pub fn counts(&self) -> HeadCounts {
        HeadCounts {
            items: self.items.load(Relaxed),
            runs: self.runs.load(Relaxed),
            expired: self.expired.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
            refused: self.refused.load(Relaxed),
            last_run_ms: self.last_run_ms.load(Relaxed),
        }
    }

    /// Returns the totals of the runs by batch size, in items.
    pub fn batch_totals(&self) -> BTreeMap<usize, BatchTotals> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The counters of a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadCounts {
    /// Number of items that were run.
    pub items: u64,
    /// Number of model runs.
    pub runs: u64,
    /// Jobs whose deadline passed before they ran.
    pub expired: u64,
    /// Jobs whose callers had stopped waiting.
    pub abandoned: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Time of the last run, in Unix milliseconds; 0 before the first run.
    pub last_run_ms: u64,
}
