use std::time::Duration;

use super::{policy::Policy, queue::Bounds};

/// Waiting time after which a job rises by one class.
const PATIENCE: Duration = Duration::from_millis(500);

/// Batching settings, the same for every head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Maximum number of queued and running jobs per head, 1 or more.
    pub queue: usize,
    /// Maximum bytes of the tensors of these jobs.
    pub queue_bytes: usize,
    /// Maximum number of items per run, 1 or more. `None` uses the number that is measured for each head when it
    /// is loaded, up to 32.
    pub max_batch: Option<usize>,
    /// Maximum time that a job may be delayed so that others can join it.
    pub max_delay: Duration,
    /// Sessions per head, each with its own thread, 1 or more.
    pub instances: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            queue: 256,
            queue_bytes: 256 << 20,
            max_batch: None,
            max_delay: Duration::from_millis(1),
            instances: 1,
        }
    }
}

impl Batching {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { jobs: self.queue, bytes: self.queue_bytes, instances: self.instances }
    }

    /// Returns the policy of a head for which `worthwhile` items per run were measured.
    pub(crate) fn policy(&self, worthwhile: usize) -> Policy {
        let max_items = self.max_batch.unwrap_or(worthwhile);
        Policy { max_items, max_delay: self.max_delay, patience: PATIENCE }
    }
}
