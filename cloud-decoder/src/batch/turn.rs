//! Runs that callers do themselves.
//!
//! A run that takes less time than handing it over would is not handed over. Its caller puts the job into the queue
//! without waking anyone, lets the other tasks of its thread go first, and then runs what has gathered: so the requests
//! that one look at the network brought become one run, and no clock is asked. That is so for jobs that by the lately
//! measured pace take less than [`QUICK`], on the CPU.
//!
//! No job is left behind: a caller that finds no session free goes away, because whoever has the session looks at the
//! queue again when its run is done; a caller that has run for long enough, or that goes before its turn, wakes an
//! engine thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::yield_now;

use super::engine::Sessions;

/// The longest job that its caller's thread runs itself.
const QUICK: Duration = Duration::from_micros(100);
/// The longest batch of such jobs.
const LONGEST: Duration = Duration::from_micros(500);

/// A job in the queue that its caller will see to.
#[derive(Debug)]
pub(super) struct Turn {
    sessions: Arc<Sessions>,
    taken: bool,
}

impl Turn {
    /// The turn of a caller with so many items, when they are quick.
    pub(super) fn of(sessions: &Arc<Sessions>, items: usize) -> Option<Self> {
        let quick = sessions.on_cpu && sessions.queue.time_of(items) <= QUICK;
        quick.then(|| Self { sessions: Arc::clone(sessions), taken: false })
    }

    /// Runs what has gathered when the thread's other tasks have had theirs.
    pub(super) async fn take(mut self) {
        yield_now().await;
        self.taken = true;
        let began = Instant::now();
        while !self.sessions.queue.is_empty() {
            if began.elapsed() > QUICK {
                return self.sessions.queue.wake();
            }
            if !self.sessions.run_now(LONGEST) {
                return;
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.taken {
            self.sessions.queue.wake();
        }
    }
}
