use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use crate::{CaptureError, SourceContext, silence::SilenceTimer};

/// A file descriptor whose reads end when the source is stopped, when it has been silent for too long, or some time
/// after its writer has ended although another process holds it open.
#[derive(Debug)]
pub struct StoppableReader {
    file: File,
    context: SourceContext,
    silence: Option<SilenceTimer>,
    writer: Option<PipeWriter>,
}

/// The program that writes into a pipe.
#[derive(Debug)]
struct PipeWriter {
    /// A pidfd, readable once the program has ended.
    pidfd: OwnedFd,
    /// Time without bytes after the end of the program, after which the pipe counts as ended.
    grace: Duration,
    /// The time of the last byte after the program has ended, or of its end; `None` while it runs.
    ended_at: Option<Duration>,
}

/// The result of one wait for a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PipeEvent {
    /// There are bytes, or the pipe has ended.
    Readable,
    /// The writer has ended, and nothing has come from the processes that it has left behind.
    Abandoned,
    /// There is nothing to do yet.
    Nothing,
}

impl StoppableReader {
    pub(crate) fn new(fd: impl AsFd, context: &SourceContext) -> Result<Self, CaptureError> {
        let fd = fd.as_fd().try_clone_to_owned().map_err(CaptureError::system_error("open a stream"))?;
        Ok(Self { file: fd.into(), context: context.clone(), silence: None, writer: None })
    }

    /// Sets the limit on silence: a read over it fails with [`ErrorKind::TimedOut`].
    pub(crate) fn with_silence(self, silence: Option<SilenceTimer>) -> Self {
        Self { silence, ..self }
    }

    /// Sets the program that writes into the pipe.
    pub(crate) fn with_writer(self, pidfd: impl AsFd, grace: Duration) -> Result<Self, CaptureError> {
        let pidfd = pidfd.as_fd().try_clone_to_owned();
        let pidfd = pidfd.map_err(CaptureError::system_error("observe a program"))?;
        Ok(Self { writer: Some(PipeWriter { pidfd, grace, ended_at: None }), ..self })
    }

    /// Waits once.
    fn wait(&mut self) -> io::Result<PipeEvent> {
        let clock = &*self.context.clock;
        let silence = self.silence.as_ref().map(|timer| timer.remaining(clock));
        let grace = self.writer.as_ref().and_then(|writer| writer.remaining(clock.now()));
        let pidfd = self.writer.as_ref().filter(|writer| writer.ended_at.is_none());
        let fds = [Some(self.file.as_fd()), pidfd.map(|writer| writer.pidfd.as_fd())];
        let timeout = [silence, grace].into_iter().flatten().min();
        let [is_stopped, is_readable, has_ended] = self.context.stop.wait_any(fds, clock, timeout)?;
        if is_stopped {
            return Err(io::Error::new(ErrorKind::ConnectionAborted, "stopped"));
        }
        // Bytes that are not an input do not help.
        if self.silence.as_ref().is_some_and(|timer| timer.remaining(clock).is_zero()) {
            return Err(io::Error::new(ErrorKind::TimedOut, "no input within the time limit"));
        }
        if is_readable {
            return Ok(PipeEvent::Readable);
        }
        let now = clock.now();
        if let Some(writer) = self.writer.as_mut().filter(|_| has_ended) {
            writer.ended_at = Some(now);
            return Ok(PipeEvent::Nothing);
        }
        let remaining = self.writer.as_ref().and_then(|writer| writer.remaining(now));
        Ok(if remaining == Some(Duration::ZERO) { PipeEvent::Abandoned } else { PipeEvent::Nothing })
    }

    fn note_bytes(&mut self) {
        let clock = &*self.context.clock;
        if let Some(timer) = &self.silence {
            timer.note_bytes(clock);
        }
        if let Some(ended_at) = self.writer.as_mut().and_then(|writer| writer.ended_at.as_mut()) {
            *ended_at = clock.now();
        }
    }
}

impl PipeWriter {
    /// Returns the time for which a process that the program has left behind may still be silent; `None` while the
    /// program runs.
    fn remaining(&self, now: Duration) -> Option<Duration> {
        self.ended_at.map(|ended_at| ended_at.saturating_add(self.grace).saturating_sub(now))
    }
}

impl Read for StoppableReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.wait()? {
                PipeEvent::Readable => break,
                PipeEvent::Abandoned => return Ok(0),
                PipeEvent::Nothing => {}
            }
        }
        let count = self.file.read(buffer)?;
        self.note_bytes();
        Ok(count)
    }
}
