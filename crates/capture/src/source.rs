use std::{
    fmt,
    ops::AddAssign,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    CaptureError, CapturedImage, Clock, StopHandle, SystemClock, folder::TakenFile, stop::WaitOutcome,
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
    /// A window of sensor rows, row-major `[length, channels]`, in the units of the sensors.
    Window(Vec<f32>),
    /// A finished file, to be marked as done once its outputs are safe.
    File(TakenFile),
}

/// Counts of a source's inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InputCounts {
    /// Number of inputs that were returned.
    pub captured: u64,
    /// Number of images or lines that could not be read.
    pub damaged: u64,
    /// Number of bytes that belong to none of the inputs.
    pub skipped: u64,
}

impl AddAssign for InputCounts {
    fn add_assign(&mut self, other: Self) {
        self.captured += other.captured;
        self.damaged += other.damaged;
        self.skipped += other.skipped;
    }
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
}

impl SourceContext {
    /// Creates a context with this name and the system's clock.
    #[must_use]
    pub fn new(name: &str, stop: &StopHandle) -> Self {
        Self { name: name.into(), stop: stop.clone(), clock: Arc::new(SystemClock::default()) }
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
