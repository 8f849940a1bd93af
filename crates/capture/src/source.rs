use std::{
    fmt,
    ops::AddAssign,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{CaptureError, Clock, Picture, Stop, SystemClock, folder::Taken, stop::Woken};

/// One input, and where it is from.
#[derive(Debug)]
pub struct Captured {
    /// When it was captured: of a file when it was last written, of all else when its last byte was read.
    pub at: SystemTime,
    /// The source's name.
    pub source: Arc<str>,
    /// The input.
    pub what: What,
}

/// An input.
#[derive(Debug)]
pub enum What {
    /// A picture, decoded when it is asked for.
    Picture(Picture),
    /// A window of sensor rows, row-major `[length, channels]`, in the units of the sensors.
    Rows(Vec<f32>),
    /// A finished file, to be given back once what was made of it is safe.
    File(Taken),
}

/// What has gone through a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Inputs that came out.
    pub captured: u64,
    /// Pictures or lines that were there and could not be read.
    pub damaged: u64,
    /// Bytes that belonged to no input.
    pub skipped: u64,
}

impl AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.captured += other.captured;
        self.damaged += other.damaged;
        self.skipped += other.skipped;
    }
}

/// Where inputs come from, one after the other.
pub trait Source: Send {
    /// Waits for the next input; none when there will be no more, or when the source was stopped.
    ///
    /// # Errors
    /// What stands in the way. A further call tries again.
    fn next(&mut self) -> Result<Option<Captured>, CaptureError>;

    /// What has gone through it so far.
    fn counted(&self) -> Counted;
}

/// What every source is given: a name, what stops it, and the time.
#[derive(Clone)]
pub struct Context {
    /// What inputs, messages and errors call the source by.
    pub name: Arc<str>,
    /// Stops it.
    pub stop: Stop,
    /// Its time.
    pub clock: Arc<dyn Clock>,
}

impl Context {
    /// A source of this name, in the system's time.
    #[must_use]
    pub fn new(name: &str, stop: &Stop) -> Self {
        Self { name: name.into(), stop: stop.clone(), clock: Arc::new(SystemClock::default()) }
    }

    /// The same in another time.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// An input of this moment.
    pub(crate) fn captured(&self, what: What) -> Captured {
        Captured { at: self.clock.time_of_day(), source: self.name.clone(), what }
    }

    /// Waits; whether it was stopped meanwhile.
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
