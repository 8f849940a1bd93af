//! A clock that tests control.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lopside_capture::Clock;

/// A clock that skips every wait, after it has reported the wait to a callback.
pub(crate) struct Leaping {
    now: Mutex<Duration>,
    told: Box<dyn Fn(Duration) + Send + Sync>,
}

impl Leaping {
    /// Creates a clock that calls `told` with each wait that it skips.
    pub(crate) fn new(told: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { now: Mutex::default(), told: Box::new(told) }
    }
}

impl Clock for Leaping {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn time_of_day(&self) -> SystemTime {
        UNIX_EPOCH + self.now()
    }

    fn begin_wait(&self, wait: Duration) -> Duration {
        (self.told)(wait);
        *self.now.lock().unwrap() += wait;
        Duration::ZERO
    }
}
