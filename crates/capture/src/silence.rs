use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::Clock;

/// The time limit for the next input of a source that should always deliver. Its clones share the time.
#[derive(Debug, Clone)]
pub(crate) struct SilenceTimer {
    limit: Duration,
    /// Whether every byte counts as a sign of life, and not only an input.
    counts_bytes: bool,
    /// Time of the source's clock at which the source has been silent for too long, in milliseconds.
    deadline_ms: Arc<AtomicU64>,
}

impl SilenceTimer {
    /// Creates a timer, which starts now.
    pub(crate) fn new(limit: Duration, counts_bytes: bool, clock: &dyn Clock) -> Self {
        let timer = Self { limit, counts_bytes, deadline_ms: Arc::default() };
        timer.restart(clock);
        timer
    }

    /// Restarts the timer: the source begins to wait for its next input.
    pub(crate) fn restart(&self, clock: &dyn Clock) {
        let deadline_ms = clock.now().saturating_add(self.limit).as_millis();
        self.deadline_ms.store(u64::try_from(deadline_ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Notes that bytes have arrived.
    pub(crate) fn note_bytes(&self, clock: &dyn Clock) {
        if self.counts_bytes {
            self.restart(clock);
        }
    }

    /// Returns the remaining time; zero if the source has been silent for too long.
    pub(crate) fn remaining(&self, clock: &dyn Clock) -> Duration {
        Duration::from_millis(self.deadline_ms.load(Ordering::Relaxed)).saturating_sub(clock.now())
    }
}
