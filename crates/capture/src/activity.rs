//! The activity of a thread, for its supervisor: a thread that waits for an event is healthy for as long as it waits,
//! and one that works on the same step for too long hangs.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Whether a thread waits for an event, or since when it works. The thread writes it, and its supervisor reads it.
#[derive(Debug)]
pub struct Activity {
    origin: Instant,
    /// Milliseconds from the origin to the beginning of the current step, plus one; 0 while the thread waits.
    busy_since: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self { origin: Instant::now(), busy_since: AtomicU64::new(0) }
    }
}

impl Activity {
    /// Notes that the thread works from now on, until the result is dropped.
    pub fn work(&self) -> WorkMark<'_> {
        self.begin_step();
        WorkMark(self)
    }

    /// Notes that the thread waits for an event, until the result is dropped; then it works.
    pub fn rest(&self) -> RestMark<'_> {
        self.busy_since.store(0, Ordering::Relaxed);
        RestMark(self)
    }

    /// Notes that the thread begins the next step of its work.
    pub fn begin_step(&self) {
        let elapsed_ms = self.origin.elapsed().as_millis() as u64;
        self.busy_since.store(elapsed_ms + 1, Ordering::Relaxed);
    }

    /// Returns the time since the thread began its current step; `None` while it waits or has not started.
    #[must_use]
    pub fn busy_time(&self) -> Option<Duration> {
        let since_ms = self.busy_since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.origin.elapsed().saturating_sub(Duration::from_millis(since_ms)))
    }
}

/// The mark of a thread that works.
#[derive(Debug)]
#[must_use = "the thread counts as working until this is dropped"]
pub struct WorkMark<'a>(&'a Activity);

impl Drop for WorkMark<'_> {
    fn drop(&mut self) {
        self.0.busy_since.store(0, Ordering::Relaxed);
    }
}

/// The mark of a thread that waits for an event.
#[derive(Debug)]
#[must_use = "the thread counts as waiting until this is dropped"]
pub struct RestMark<'a>(&'a Activity);

impl Drop for RestMark<'_> {
    fn drop(&mut self) {
        self.0.begin_step();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_busy_only_between_its_waits() {
        let activity = Activity::default();
        assert_eq!(activity.busy_time(), None);
        let work = activity.work();
        assert!(activity.busy_time().is_some());
        let rest = activity.rest();
        assert_eq!(activity.busy_time(), None);
        drop(rest);
        assert!(activity.busy_time().is_some());
        drop(work);
        assert_eq!(activity.busy_time(), None);
    }
}
