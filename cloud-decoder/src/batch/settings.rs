use std::time::Duration;

use super::{policy::Policy, queue::Bounds};

/// How long a job waits until it counts as one class more urgent.
const PATIENCE: Duration = Duration::from_millis(500);

/// How requests become runs of a model; the same for every head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Jobs that may wait for a head or run, 1 or more.
    pub queue: usize,
    /// Bytes that the tensors of these jobs may have.
    pub queue_bytes: usize,
    /// Items of one run, 1 or more. None: as many, up to 32, as each head is found to be worth it when it is loaded.
    pub max_batch: Option<usize>,
    /// How long a job may be held up for others to join it.
    pub max_delay: Duration,
    /// Sessions a head, each with its thread, 1 or more.
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

    /// The policy of a head of which so many items are worth a run.
    pub(crate) fn policy(&self, worthwhile: usize) -> Policy {
        let max_items = self.max_batch.unwrap_or(worthwhile);
        Policy { max_items, max_delay: self.max_delay, patience: PATIENCE }
    }
}
