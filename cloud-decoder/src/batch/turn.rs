//! Runs of short jobs on the threads of their callers.
//!
//! A job that takes less time than handing it over to an engine thread is not handed over. Its caller enqueues
//! the job without waking an engine thread, yields to the other tasks of its thread, and then runs the queued
//! jobs. All requests that one poll of the network delivered thus become one run, without a timer. This applies
//! to jobs on the CPU whose expected time, at the recent time per item, is at most [`QUICK`].
//!
//! No job is left behind. A caller that finds all sessions busy returns, because the thread that has a session
//! checks the queue again after its run. A caller that has run for long enough, or that is dropped before its
//! turn, wakes an engine thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::yield_now;

use super::engine::Sessions;

/// Maximum expected time of a job that its caller's thread runs.
const QUICK: Duration = Duration::from_micros(100);
/// Maximum expected time of a batch of such jobs.
const LONGEST: Duration = Duration::from_micros(500);

/// A queued job that its caller will run.
#[derive(Debug)]
pub(super) struct Turn {
    sessions: Arc<Sessions>,
    taken: bool,
}

impl Turn {
    /// Returns a turn for a job of `items` items, or `None` if an engine thread has to run it.
    pub(super) fn of(sessions: &Arc<Sessions>, items: usize) -> Option<Self> {
        let quick = sessions.on_cpu && sessions.queue.time_of(items) <= QUICK;
        quick.then(|| Self { sessions: Arc::clone(sessions), taken: false })
    }

    /// Yields to the other tasks of the thread, and then runs the queued jobs.
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
