use std::time::{Duration, Instant, SystemTime};

/// Time, which a test may own.
pub trait Clock: Send + Sync {
    /// Time since a fixed moment; it never goes back.
    fn now(&self) -> Duration;

    /// The time of day, by which captures are dated.
    fn time_of_day(&self) -> SystemTime;

    /// Somebody is about to wait for so long, or until something happens before that: how long it is to be by the
    /// system's time. A clock that leaps goes ahead by `wait` and says zero.
    fn waits(&self, wait: Duration) -> Duration;
}

/// The system's time.
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

    fn waits(&self, wait: Duration) -> Duration {
        wait
    }
}
