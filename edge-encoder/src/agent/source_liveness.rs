use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use lopside_capture::Activity;
use tokio::time::Instant;

/// The signs of life of a source.
#[derive(Debug)]
pub(super) struct SourceLiveness {
    /// Time without an input after which the source counts as silent; `None` for a source that may be silent.
    max_silence: Option<Duration>,
    /// The activity of the thread that captures.
    pub(super) capturing: Arc<Activity>,
    /// The activity of the thread of the rate limit.
    pub(super) pacing: Arc<Activity>,
    times: Mutex<InputTimes>,
    /// Number of times that the source was started again because it was silent.
    restarts: AtomicU64,
    /// Whether the rate limit holds an input until it may pass.
    is_holding: AtomicBool,
    has_ended: AtomicBool,
}

#[derive(Debug, Default)]
struct InputTimes {
    last_input_at: Option<Instant>,
    /// The time since which the source has had the opportunity to deliver; `None` before the start, while an input is
    /// passed on, and after the end.
    waiting_since: Option<Instant>,
}

impl SourceLiveness {
    pub(super) fn new(max_silence: Option<Duration>) -> Self {
        Self {
            max_silence,
            capturing: Arc::default(),
            pacing: Arc::default(),
            times: Mutex::default(),
            restarts: AtomicU64::new(0),
            is_holding: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Notes that the source has delivered an input, which is now passed on.
    pub(super) fn note_input(&self) {
        *self.times() = InputTimes { last_input_at: Some(Instant::now()), waiting_since: None };
    }

    /// Notes that the source has started, or that it may deliver its next input.
    pub(super) fn note_ready(&self) {
        self.times().waiting_since = Some(Instant::now());
    }

    /// Notes that the source is started again because it was silent.
    pub(super) fn note_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes whether the rate limit holds an input.
    pub(super) fn note_holding(&self, is_holding: bool) {
        self.is_holding.store(is_holding, Ordering::Relaxed);
    }

    /// Notes that the source has ended.
    pub(super) fn note_end(&self) {
        self.times().waiting_since = None;
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// Returns the number of times that the source was started again because it was silent.
    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Returns the number of inputs that the rate limit holds.
    pub(super) fn held(&self) -> u64 {
        u64::from(self.is_holding.load(Ordering::Relaxed))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Returns the time of the last input; `None` before the first one.
    pub(super) fn last_input_at(&self) -> Option<Instant> {
        self.times().last_input_at
    }

    /// Returns the time since the last input; `None` before the first one.
    pub(super) fn since_last_input(&self) -> Option<Duration> {
        self.last_input_at().map(|at| at.elapsed())
    }

    /// Returns the limit on silence if the source is silent for longer.
    pub(super) fn exceeded_silence(&self) -> Option<Duration> {
        let limit = self.max_silence?;
        self.times().waiting_since.filter(|since| since.elapsed() >= limit).map(|_| limit)
    }

    /// Returns whether one of the threads takes longer for a step.
    pub(super) fn is_stalled(&self, max_step_time: Duration) -> bool {
        [&self.capturing, &self.pacing].into_iter().any(|activity| is_stalled(activity, max_step_time))
    }

    fn times(&self) -> MutexGuard<'_, InputTimes> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a thread takes longer than this for a step of its work.
pub(super) fn is_stalled(activity: &Activity, max_step_time: Duration) -> bool {
    activity.busy_time().is_some_and(|busy_time| busy_time > max_step_time)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_source_is_silent_only_while_it_could_deliver() {
        let liveness = SourceLiveness::new(Some(LIMIT));
        advance(2 * LIMIT).await;
        assert_eq!(liveness.exceeded_silence(), None, "it has not started");
        liveness.note_ready();
        advance(Duration::from_secs(59)).await;
        assert_eq!(liveness.exceeded_silence(), None);
        advance(Duration::from_secs(1)).await;
        assert_eq!(liveness.exceeded_silence(), Some(LIMIT));
        liveness.note_restart();
        assert_eq!(liveness.exceeded_silence(), Some(LIMIT), "a start is not an input");
        liveness.note_input();
        advance(2 * LIMIT).await;
        assert_eq!(liveness.exceeded_silence(), None, "the encoder is busy");
        assert_eq!(liveness.since_last_input(), Some(2 * LIMIT));
        liveness.note_ready();
        advance(LIMIT).await;
        assert_eq!(liveness.exceeded_silence(), Some(LIMIT));
        liveness.note_end();
        assert_eq!((liveness.exceeded_silence(), liveness.has_ended(), liveness.restarts()), (None, true, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_without_a_limit_may_be_silent() {
        let liveness = SourceLiveness::new(None);
        liveness.note_ready();
        advance(1000 * LIMIT).await;
        assert_eq!(liveness.exceeded_silence(), None);
    }

    #[test]
    fn a_thread_hangs_if_it_works_for_too_long_and_not_if_it_waits() {
        let liveness = SourceLiveness::new(None);
        let activity = &liveness.capturing;
        let work = activity.work();
        while activity.busy_time() == Some(Duration::ZERO) {}
        assert!(liveness.is_stalled(Duration::ZERO));
        assert!(!liveness.is_stalled(LIMIT));
        let rest = activity.rest();
        assert!(!liveness.is_stalled(Duration::ZERO));
        drop((rest, work));
        assert!(!liveness.is_stalled(Duration::ZERO));
        let _work = liveness.pacing.work();
        while liveness.pacing.busy_time() == Some(Duration::ZERO) {}
        assert!(liveness.is_stalled(Duration::ZERO));
    }
}
