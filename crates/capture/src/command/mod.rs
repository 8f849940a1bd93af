//! A program whose output is the stream: `rpicam-vid -t 0 --codec mjpeg -o -`, `ffmpeg … -f image2pipe -`, a
//! script that prints sensor rows.
//!
//! ```text
//!             ┌────────────── after a while ──────────────┐
//!             ▼                                           │
//! waiting ─start─► running ─ends─► once more? ─yes─► waiting, longer each time
//!                                      └─────no──► over
//! ```
//! The program leads its own process group. Whenever it ends, is stopped or is dropped, the rest of the group
//! is ended as well, so that no process holds on to the camera. Its standard error is logged at level
//! debug. Its end is observed through a pidfd, which needs Linux 5.3 or later.
//!
//! A program that has ended while another process, which it has left behind, holds its output open counts as ended once
//! that process has been silent for the grace time. A program that runs and delivers nothing for too long is ended with
//! an error, if there is a limit on silence. If this process is killed, a [guard](ProgramGuard) ends the programs.
//!
//! The program gets the environment of this process without what is private to it: the variables `LOPSIDE_…` with
//! the API key, `OTEL_…`, and those of the service manager. It gets no open files but its three standard streams and,
//! because the library of the feature `v4l` opens it so, a camera that is open in this process.

mod backoff;
mod environment;
mod guard;
mod process;

use std::{ffi::OsString, io::ErrorKind, sync::Arc, time::Duration};

pub use self::guard::{ProgramGuard, run_guard};
use self::{backoff::Backoff, process::Process};
use crate::{
    CaptureError, Captured, InputCounts, Source, SourceContext,
    pipe::StoppableReader,
    silence::SilenceTimer,
    stream::{StreamContent, StreamSource},
};

/// Restart policy of a program that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Restart it whenever it has ended.
    Always,
    /// Restart it unless it has ended with status 0.
    OnFailure,
    /// Never restart it. A failure is an error.
    Never,
}

/// The program to run, and how to run it.
#[derive(Debug, Clone)]
pub struct CommandOptions {
    /// The program and its arguments; they do not pass through a shell.
    pub argv: Vec<OsString>,
    /// Content of its standard output.
    pub content: StreamContent,
    /// Restart policy. The pause before a restart grows from 1 to 60 seconds with each attempt, and starts
    /// again at 1 second after the program has run for a minute.
    pub restart: RestartPolicy,
    /// Time that it may take to end after SIGTERM, or after it has closed its output, before it is killed; and time for
    /// which a process that it has left behind may be silent.
    pub grace: Duration,
    /// Time without an image, or for sensor rows without a byte, after which it counts as hanging; `None` for no limit.
    pub silence: Option<Duration>,
    /// The guard that ends the program if this process is killed.
    pub guard: Option<Arc<ProgramGuard>>,
}

impl CommandOptions {
    /// Creates options for a program that is always restarted, has five seconds to end, and may be silent, without a
    /// guard.
    #[must_use]
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>, content: StreamContent) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self {
            argv,
            content,
            restart: RestartPolicy::Always,
            grace: Duration::from_secs(5),
            silence: None,
            guard: None,
        }
    }
}

/// A program as a source. It is started at the first call of `next`, and killed when this source is dropped.
pub struct CommandSource {
    context: SourceContext,
    options: CommandOptions,
    backoff: Backoff,
    state: ProgramState,
    /// Totals of the streams that have ended.
    ended_counts: InputCounts,
    starts: u64,
}

enum ProgramState {
    /// To be started after this time.
    Waiting(Duration),
    Running(Box<RunningProgram>),
    Over,
}

struct RunningProgram {
    process: Process,
    stream: StreamSource<StoppableReader>,
    silence: Option<SilenceTimer>,
    /// Start time by the context's clock.
    started_at: Duration,
}

impl CommandSource {
    /// Creates a source for a program, without starting it.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`] if the command line is empty.
    pub fn new(context: SourceContext, options: CommandOptions) -> Result<Self, CaptureError> {
        if options.argv.is_empty() {
            return Err(CaptureError::InvalidSetting(format!(
                "{}: the command is empty; give a program",
                context.name
            )));
        }
        let (backoff, state) = (Backoff::default(), ProgramState::Waiting(Duration::ZERO));
        Ok(Self { context, options, backoff, state, ended_counts: InputCounts::default(), starts: 0 })
    }

    /// Returns the number of times that the program was started.
    #[must_use]
    pub fn start_count(&self) -> u64 {
        self.starts
    }

    fn start(&mut self) -> Result<(), CaptureError> {
        let running = self.spawn_program().inspect_err(|_| {
            self.state = ProgramState::Waiting(self.backoff.delay(Duration::ZERO));
        })?;
        self.state = ProgramState::Running(Box::new(running));
        self.starts += 1;
        Ok(())
    }

    fn spawn_program(&self) -> Result<RunningProgram, CaptureError> {
        let CommandOptions { argv, content, grace, silence, guard, .. } = &self.options;
        let process = Process::spawn(argv, &self.context.name, guard.clone())?;
        // A window may take longer than the limit to fill.
        let counts_bytes = matches!(content, StreamContent::Rows(_));
        let silence = silence.map(|limit| SilenceTimer::new(limit, counts_bytes, &*self.context.clock));
        let pipe = StoppableReader::new(process.stdout(), &self.context)?
            .with_silence(silence.clone())
            .with_writer(process.pidfd(), *grace)?;
        let stream = StreamSource::new(self.context.clone(), pipe, content.clone())?;
        Ok(RunningProgram { process, stream, silence, started_at: self.context.clock.now() })
    }

    /// Names the cause of an error of the stream.
    fn name_silence(&self, error: CaptureError) -> CaptureError {
        match (error, self.options.silence) {
            (CaptureError::ReadStream { name, source }, Some(limit))
                if source.kind() == ErrorKind::TimedOut =>
            {
                CaptureError::Silent { name, seconds: limit.as_secs_f64() }
            }
            (error, _) => error,
        }
    }

    /// Ends the running program after its output has ended or failed, or after a stop; then sets the next
    /// state.
    fn end_program(&mut self, failure: Option<CaptureError>) -> Result<(), CaptureError> {
        let ProgramState::Running(running) = std::mem::replace(&mut self.state, ProgramState::Over) else {
            return Ok(());
        };
        let RunningProgram { process, stream, started_at, .. } = *running;
        let mut counts = stream.input_counts();
        // The rows of a window that is not finished by now are in none.
        counts.rows.unused += std::mem::take(&mut counts.rows.waiting);
        self.ended_counts += counts;
        let status = process.terminate_group(&self.context, self.options.grace, failure.is_none());
        if self.context.stop.is_stopped() {
            return Ok(());
        }
        if let Some(error) = failure {
            if self.options.restart != RestartPolicy::Never {
                self.schedule_restart(started_at);
            }
            return Err(error);
        }
        let status = status.map_err(CaptureError::system_error("wait for a program"))?;
        let program = self.options.argv[0].display().to_string();
        tracing::info!(source = %self.context.name, program, %status, "the program has ended");
        match self.options.restart {
            RestartPolicy::Always => self.schedule_restart(started_at),
            RestartPolicy::OnFailure if !status.success() => self.schedule_restart(started_at),
            RestartPolicy::Never if !status.success() => {
                return Err(CaptureError::ProgramFailed { program, status });
            }
            RestartPolicy::OnFailure | RestartPolicy::Never => {}
        }
        Ok(())
    }

    /// Sets the state to wait before the program, which was started at this time, is started again.
    fn schedule_restart(&mut self, started_at: Duration) {
        let run_time = self.context.clock.now().saturating_sub(started_at);
        self.state = ProgramState::Waiting(self.backoff.delay(run_time));
    }
}

impl Source for CommandSource {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        loop {
            if self.context.stop.is_stopped() {
                self.end_program(None)?;
                return Ok(None);
            }
            match &mut self.state {
                ProgramState::Over => return Ok(None),
                ProgramState::Waiting(delay) => {
                    if !self.context.pause(*delay)? {
                        self.start()?;
                    }
                }
                ProgramState::Running(running) => {
                    // The time in which the encoder was busy does not count.
                    if let Some(silence) = &running.silence {
                        silence.restart(&*self.context.clock);
                    }
                    match running.stream.next() {
                        Ok(Some(captured)) => return Ok(Some(captured)),
                        outcome => {
                            let failure = outcome.err().map(|error| self.name_silence(error));
                            self.end_program(failure)?;
                        }
                    }
                }
            }
        }
    }

    fn input_counts(&self) -> InputCounts {
        let mut counts = self.ended_counts;
        if let ProgramState::Running(running) = &self.state {
            counts += running.stream.input_counts();
        }
        counts
    }
}
