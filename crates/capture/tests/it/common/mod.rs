//! A clock that tests control.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lopside_capture::Clock;

/// A clock that skips every wait, after it has reported the wait to a callback.
pub(crate) struct Leaping {
    now: Mutex<Duration>,
    on_wait: Box<dyn Fn(Duration) + Send + Sync>,
}

impl Leaping {
    /// Creates a clock that calls `on_wait` with each wait that it skips.
    pub(crate) fn new(on_wait: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { now: Mutex::default(), on_wait: Box::new(on_wait) }
    }
}

impl Clock for Leaping {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn time_of_day(&self) -> SystemTime {
        UNIX_EPOCH + self.now()
    }

    fn begin_wait(&self, timeout: Duration) -> Duration {
        (self.on_wait)(timeout);
        *self.now.lock().unwrap() += timeout;
        Duration::ZERO
    }
}
