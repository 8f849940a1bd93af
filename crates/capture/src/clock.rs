use std::time::{Duration, Instant, SystemTime};

/// Source of time; tests substitute their own.
pub trait Clock: Send + Sync {
    /// Returns the time since a fixed moment; it never decreases.
    fn now(&self) -> Duration;

    /// Returns the time of day, which dates captures.
    fn time_of_day(&self) -> SystemTime;

    /// Announces a wait of up to `wait`, which an event may end earlier, and returns the time to wait by the
    /// system's clock. A simulated clock advances by `wait` and returns zero.
    fn begin_wait(&self, wait: Duration) -> Duration;
}

/// The system's clock.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }

    fn begin_wait(&self, timeout: Duration) -> Duration {
        timeout
    }
}
