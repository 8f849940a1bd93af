use std::{
    fmt,
    ops::AddAssign,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{CaptureError, Clock, Picture, Stop, SystemClock, folder::Taken, stop::Woken};

/// One input with its origin.
#[derive(Debug)]
pub struct Captured {
    /// Capture time: the last modification of a file, and for all other inputs the time at which the last
    /// byte was read.
    pub at: SystemTime,
    /// The name of the source.
    pub source: Arc<str>,
    /// The input.
    pub what: What,
}

/// An input.
#[derive(Debug)]
pub enum What {
    /// An image, decoded on request.
    Picture(Picture),
    /// A window of sensor rows, row-major `[length, channels]`, in the units of the sensors.
    Rows(Vec<f32>),
    /// A finished file, to be marked as done once its outputs are safe.
    File(Taken),
}

/// Counts of a source's inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Number of inputs that were returned.
    pub captured: u64,
    /// Number of images or lines that could not be read.
    pub damaged: u64,
    /// Number of bytes that belong to none of the inputs.
    pub skipped: u64,
}

impl AddAssign for Counted {
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
    fn counted(&self) -> Counted;
}

/// The context of a source: its name, its stop handle and its clock.
#[derive(Clone)]
pub struct Context {
    /// The name of the source in inputs, messages and errors.
    pub name: Arc<str>,
    /// The handle that stops the source.
    pub stop: Stop,
    /// The clock of the source.
    pub clock: Arc<dyn Clock>,
}

impl Context {
    /// Creates a context with this name and the system's clock.
    #[must_use]
    pub fn new(name: &str, stop: &Stop) -> Self {
        Self { name: name.into(), stop: stop.clone(), clock: Arc::new(SystemClock::default()) }
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Wraps an input that was captured now.
    pub(crate) fn captured(&self, what: What) -> Captured {
        Captured { at: self.clock.time_of_day(), source: self.name.clone(), what }
    }

    /// Waits, and returns whether the source was stopped meanwhile.
    ///
    /// # Errors
    /// [`CaptureError::System`].
    pub fn pause(&self, time: Duration) -> Result<bool, CaptureError> {
        let until = self.clock.now() + time;
        loop {
            let left = until.saturating_sub(self.clock.now());
            let woken = self.stop.wait(None, &*self.clock, Some(left));
            match woken.map_err(CaptureError::system("wait"))? {
                Woken::TimedOut if self.clock.now() >= until => return Ok(false),
                Woken::TimedOut => {}
                _ => return Ok(true),
            }
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Context").field("name", &self.name).finish_non_exhaustive()
    }
}
