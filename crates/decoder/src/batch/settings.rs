use std::time::Duration;

use super::{admission::QueueLimits, policy::BatchPolicy};

/// Waiting time after which a job rises by one class.
const PROMOTION_INTERVAL: Duration = Duration::from_millis(500);

/// Batching settings, the same for every head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// Maximum number of queued and running jobs per head, 1 or more.
    pub max_jobs: usize,
    /// Maximum bytes of the tensors of these jobs.
    pub max_job_bytes: usize,
    /// Maximum number of items per run, 1 or more. `None` uses the number that is measured for each head when it
    /// is loaded, up to 32.
    pub max_batch_items: Option<usize>,
    /// Maximum time that a job may be delayed so that others can join it.
    pub max_delay: Duration,
    /// Sessions per head, each with its own thread, 1 or more.
    pub instances: usize,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            max_jobs: 256,
            max_job_bytes: 256 << 20,
            max_batch_items: None,
            max_delay: Duration::from_millis(1),
            instances: 1,
        }
    }
}

impl BatchSettings {
    pub(crate) fn queue_limits(&self) -> QueueLimits {
        QueueLimits { max_jobs: self.max_jobs, max_bytes: self.max_job_bytes, instances: self.instances }
    }

    /// Returns the policy of a head for which `worthwhile` items per run were measured.
    pub(crate) fn batch_policy(&self, worthwhile: usize) -> BatchPolicy {
        let max_items = self.max_batch_items.unwrap_or(worthwhile);
        BatchPolicy { max_items, max_delay: self.max_delay, promotion_interval: PROMOTION_INTERVAL }
    }
}
