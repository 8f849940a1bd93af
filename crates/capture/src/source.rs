use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    Activity, CaptureError, CapturedImage, CapturedWindow, Clock, InputCounts, LiveCounts, StopHandle,
    SystemClock, folder::TakenFile, stop::WaitOutcome, tail::TailedWindow,
};

/// One input with its origin.
#[derive(Debug)]
pub struct Captured {
    /// Capture time: the last modification of a file, and for all other inputs the time at which the last
    /// byte was read.
    pub captured_at: SystemTime,
    /// The name of the source.
    pub source_name: Arc<str>,
    /// The input.
    pub input: CapturedInput,
}

/// An input.
#[derive(Debug)]
pub enum CapturedInput {
    /// An image, decoded on request.
    Image(CapturedImage),
    /// A window of sensor rows.
    Window(CapturedWindow),
    /// A finished file, to be marked as done once its outputs are safe.
    File(TakenFile),
    /// A window of a growing file, to be marked once its outputs are safe.
    Tailed(TailedWindow),
}

/// A source of inputs, which are returned one after the other.
pub trait Source: Send {
    /// Waits for the next input; returns `None` after the last input, or if the source was stopped.
    ///
    /// # Errors
    /// The problem that prevents the next input. A further call tries again.
    fn next(&mut self) -> Result<Option<Captured>, CaptureError>;

    /// Returns the counts so far.
    fn input_counts(&self) -> InputCounts;
}

/// The context of a source: its name, its stop handle and its clock.
#[derive(Clone)]
pub struct SourceContext {
    /// The name of the source in inputs, messages and errors.
    pub name: Arc<str>,
    /// The handle that stops the source.
    pub stop: StopHandle,
    /// The clock of the source.
    pub clock: Arc<dyn Clock>,
    activity: Arc<Activity>,
    counts: Arc<LiveCounts>,
}

impl SourceContext {
    /// Creates a context with this name and the system's clock.
    #[must_use]
    pub fn new(name: &str, stop: &StopHandle) -> Self {
        let activity = Arc::new(Activity::default());
        let (stop, clock) = (stop.with_activity(&activity), Arc::new(SystemClock::default()));
        Self { name: name.into(), stop, clock, activity, counts: Arc::default() }
    }

    /// Returns the activity of the source's thread. The waits of the source are noted in it.
    #[must_use]
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Replaces the activity in which the waits of the source are noted.
    #[must_use]
    pub fn with_activity(self, activity: &Arc<Activity>) -> Self {
        Self { stop: self.stop.with_activity(activity), activity: Arc::clone(activity), ..self }
    }

    /// Replaces the place where the source states its counts when it waits.
    #[must_use]
    pub fn with_counts(self, counts: &Arc<LiveCounts>) -> Self {
        Self { counts: Arc::clone(counts), ..self }
    }

    /// States the counts of the source, which is about to wait.
    pub(crate) fn state_counts(&self, counts: InputCounts) {
        self.counts.set(counts);
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Wraps an input that was captured now.
    pub(crate) fn capture_now(&self, input: CapturedInput) -> Captured {
        Captured { captured_at: self.clock.time_of_day(), source_name: self.name.clone(), input }
    }

    /// Waits, and returns whether the source was stopped meanwhile.
    ///
    /// # Errors
    /// [`CaptureError::SystemCall`].
    pub fn pause(&self, duration: Duration) -> Result<bool, CaptureError> {
        let deadline = self.clock.now() + duration;
        loop {
            let remaining = deadline.saturating_sub(self.clock.now());
            let outcome = self.stop.wait(None, &*self.clock, Some(remaining));
            match outcome.map_err(CaptureError::system_error("wait"))? {
                WaitOutcome::TimedOut if self.clock.now() >= deadline => return Ok(false),
                WaitOutcome::TimedOut => {}
                _ => return Ok(true),
            }
        }
    }
}

impl fmt::Debug for SourceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Context").field("name", &self.name).finish_non_exhaustive()
    }
}
