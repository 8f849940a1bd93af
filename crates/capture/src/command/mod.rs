//! A program whose output is the stream: `rpicam-vid -t 0 --codec mjpeg -o -`, `ffmpeg … -f image2pipe -`, a script that
//! prints sensor rows.
//!
//! ```text
//!             ┌────────────── after a while ──────────────┐
//!             ▼                                           │
//! waiting ─start─► running ─ends─► once more? ─yes─► waiting, longer each time
//!                                      └─────no──► over
//! ```
//! The program leads a process group of its own. Whenever it ends, is stopped or is dropped, what is left of the group
//! goes as well, so that nothing holds on to the camera. What it writes to standard error goes to the log, at level
//! debug. It is waited for with a pidfd: Linux 5.3 or later.

mod backoff;
mod process;

use std::{ffi::OsString, time::Duration};

use self::{backoff::Backoff, process::Process};
use crate::{
    CaptureError, Captured, Context, Counted, Source,
    pipe::Pipe,
    stream::{Content, Stream},
};

/// When a program that has ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Whenever it has ended.
    Always,
    /// When it has not ended with status 0.
    OnFailure,
    /// Never. A failure is an error.
    Never,
}

/// Which program is run, and how.
#[derive(Debug, Clone)]
pub struct CommandOptions {
    /// The program and its arguments; no shell sees them.
    pub argv: Vec<OsString>,
    /// What it writes to its standard output.
    pub content: Content,
    /// When it is started again, after 1 to 60 seconds, the longer the more often; from 1 again after it has run for a
    /// minute.
    pub restart: Restart,
    /// How long it may take to end after SIGTERM, or after it has closed its output, before it is killed.
    pub grace: Duration,
}

impl CommandOptions {
    /// A program that is always started again, and has five seconds to end.
    #[must_use]
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>, content: Content) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self { argv, content, restart: Restart::Always, grace: Duration::from_secs(5) }
    }
}

/// A program as a source. It is started when the first input is asked for, and killed when this is dropped.
pub struct Command {
    context: Context,
    options: CommandOptions,
    backoff: Backoff,
    state: State,
    /// Of the streams that have ended.
    counted: Counted,
    starts: u64,
}

enum State {
    /// To be started after so long.
    Waiting(Duration),
    Running(Box<Running>),
    Over,
}

struct Running {
    process: Process,
    stream: Stream<Pipe>,
    /// By the context's clock.
    since: Duration,
}

impl Command {
    /// A program to be run.
    ///
    /// # Errors
    /// [`CaptureError::Setting`] when no program is named.
    pub fn new(context: Context, options: CommandOptions) -> Result<Self, CaptureError> {
        if options.argv.is_empty() {
            return Err(CaptureError::Setting(format!("{}: no program is named", context.name)));
        }
        let (backoff, state) = (Backoff::default(), State::Waiting(Duration::ZERO));
        Ok(Self { context, options, backoff, state, counted: Counted::default(), starts: 0 })
    }

    /// How often the program was started.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.starts
    }

    fn start(&mut self) -> Result<(), CaptureError> {
        let running = self.run().inspect_err(|_| {
            self.state = State::Waiting(self.backoff.delay(Duration::ZERO));
        })?;
        self.state = State::Running(Box::new(running));
        self.starts += 1;
        Ok(())
    }

    fn run(&self) -> Result<Running, CaptureError> {
        let process = Process::spawn(&self.options.argv, &self.context.name)?;
        let pipe = Pipe::new(process.stdout(), &self.context.stop)?;
        let stream = Stream::new(self.context.clone(), pipe, self.options.content.clone())?;
        Ok(Running { process, stream, since: self.context.clock.now() })
    }

    /// Ends what runs, after its output has ended or has failed, or it was stopped; settles what comes after it.
    fn end(&mut self, failed: Option<CaptureError>) -> Result<(), CaptureError> {
        let State::Running(running) = std::mem::replace(&mut self.state, State::Over) else { return Ok(()) };
        let Running { process, stream, since } = *running;
        self.counted += stream.counted();
        let status = process.end(&self.context, self.options.grace, failed.is_none());
        if self.context.stop.is_stopped() {
            return Ok(());
        }
        let again = |backoff: &mut Backoff| {
            State::Waiting(backoff.delay(self.context.clock.now().saturating_sub(since)))
        };
        if let Some(error) = failed {
            if self.options.restart != Restart::Never {
                self.state = again(&mut self.backoff);
            }
            return Err(error);
        }
        let status = status.map_err(CaptureError::system("wait for a program"))?;
        let program = self.options.argv[0].display().to_string();
        tracing::info!(source = %self.context.name, program, %status, "the program has ended");
        match self.options.restart {
            Restart::Always => self.state = again(&mut self.backoff),
            Restart::OnFailure if !status.success() => self.state = again(&mut self.backoff),
            Restart::Never if !status.success() => return Err(CaptureError::Ended { program, status }),
            Restart::OnFailure | Restart::Never => {}
        }
        Ok(())
    }
}

impl Source for Command {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        loop {
            if self.context.stop.is_stopped() {
                self.end(None)?;
                return Ok(None);
            }
            match &mut self.state {
                State::Over => return Ok(None),
                State::Waiting(delay) => {
                    if !self.context.pause(*delay)? {
                        self.start()?;
                    }
                }
                State::Running(running) => match running.stream.next() {
                    Ok(Some(captured)) => return Ok(Some(captured)),
                    ended => self.end(ended.err())?,
                },
            }
        }
    }

    fn counted(&self) -> Counted {
        let mut counted = self.counted;
        if let State::Running(running) = &self.state {
            counted += running.stream.counted();
        }
        counted
    }
}
