//! Runs of short jobs on the threads of their callers.
//!
//! A job that takes less time than handing it over to an engine thread is not handed over. Its caller enqueues
//! the job without waking an engine thread, yields to the other tasks of its thread, and then runs the queued
//! jobs. All requests that one poll of the network delivered thus become one run, without a timer. This applies
//! to jobs on the CPU whose expected time, at the recent time per item, is at most [`MAX_JOB_TIME`].
//!
//! No job is left behind. A caller that finds all sessions busy returns, because the thread that has a session
//! checks the queue again after its run. A caller that has run for long enough, or that is dropped before its
//! run, wakes an engine thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::yield_now;

use super::session_pool::SessionPool;

/// Maximum expected time of a job that its caller's thread runs.
const MAX_JOB_TIME: Duration = Duration::from_micros(100);
/// Maximum expected time of a batch of such jobs.
const MAX_BATCH_TIME: Duration = Duration::from_micros(500);

/// A queued job that its caller will run.
#[derive(Debug)]
pub(super) struct CallerRun {
    sessions: Arc<SessionPool>,
    has_run: bool,
}

impl CallerRun {
    /// Returns the run of a job of `items` items by its caller, or `None` if an engine thread has to run it.
    pub(super) fn try_new(sessions: &Arc<SessionPool>, items: usize) -> Option<Self> {
        let is_short = sessions.on_cpu && sessions.queue.expected_time(items) <= MAX_JOB_TIME;
        is_short.then(|| Self { sessions: Arc::clone(sessions), has_run: false })
    }

    /// Yields to the other tasks of the thread, and then runs the queued jobs.
    pub(super) async fn run_queued(mut self) {
        yield_now().await;
        self.has_run = true;
        let started_at = Instant::now();
        while !self.sessions.queue.is_empty() {
            if started_at.elapsed() > MAX_JOB_TIME {
                return self.sessions.queue.wake_engine();
            }
            if !self.sessions.try_run_now(MAX_BATCH_TIME) {
                return;
            }
        }
    }
}

impl Drop for CallerRun {
    fn drop(&mut self) {
        if !self.has_run {
            self.sessions.queue.wake_engine();
        }
    }
}
