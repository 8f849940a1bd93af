use std::{
    ffi::OsString,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::{CaptureError, Context, lines::Lines, stop::wait_for};

/// The longest line of standard error that is logged, in bytes.
const MAX_LINE: usize = 1024;

/// A running program and its process group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    /// A pidfd, readable once the program has ended.
    ended: OwnedFd,
    stdout: OwnedFd,
}

impl Process {
    pub(crate) fn spawn(argv: &[OsString], source: &Arc<str>) -> Result<Self, CaptureError> {
        let [program, arguments @ ..] = argv else {
            return Err(CaptureError::Setting(format!("{source}: the command is empty; give a program")));
        };
        let failed = |error: io::Error| CaptureError::Start {
            program: program.display().to_string(),
            fix: fix(&error),
            source: error,
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let group = Pid::from_child(&child);
        let parts = watch(&mut child, group, source);
        let (ended, stdout) = parts.map_err(|error| {
            kill(&mut child, group);
            failed(error)
        })?;
        Ok(Self { child, group, ended, stdout })
    }

    /// Returns its standard output.
    pub(crate) fn stdout(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }

    /// Ends the program and the rest of its group: with SIGTERM, and with SIGKILL after the grace time. If
    /// `by_itself` is set, the program first gets the grace time to end by itself, unless the source is
    /// stopped.
    pub(crate) fn end(
        mut self,
        context: &Context,
        grace: Duration,
        by_itself: bool,
    ) -> io::Result<ExitStatus> {
        if by_itself {
            context.stop.wait(Some(self.ended.as_fd()), &*context.clock, Some(grace))?;
        }
        if !self.has_ended(context, Duration::ZERO)? {
            let _ = kill_process_group(self.group, Signal::TERM);
            self.has_ended(context, grace)?;
        }
        // The program is not reaped before this, so that its process ID is still its own.
        let _ = kill_process_group(self.group, Signal::KILL);
        self.child.wait()
    }

    /// Waits and returns whether it ends within this time.
    fn has_ended(&self, context: &Context, time: Duration) -> io::Result<bool> {
        let until = context.clock.now() + time;
        loop {
            let left = until.saturating_sub(context.clock.now());
            let [ended, _] = wait_for([Some(self.ended.as_fd()), None], &*context.clock, Some(left))?;
            if ended || context.clock.now() >= until {
                return Ok(ended);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After it has been reaped, its process ID may belong to another process.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            kill(&mut self.child, self.group);
        }
    }
}

fn kill(child: &mut Child, group: Pid) {
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

/// Returns its pidfd and its standard output, and starts a thread that logs its standard error.
fn watch(child: &mut Child, group: Pid, source: &Arc<str>) -> io::Result<(OwnedFd, OwnedFd)> {
    let ended = pidfd_open(group, PidfdFlags::empty())?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("its output is not available"));
    };
    let source = source.clone();
    thread::Builder::new().name("stderr".into()).spawn(move || log(stderr, &source))?;
    Ok((ended, stdout.into()))
}

/// Logs lines until all processes that could write them have ended.
fn log(from: impl Read, source: &str) {
    let mut lines = Lines::new(from, MAX_LINE);
    while let Ok(Some((_, line))) = lines.next_line() {
        if let Some(line) = line {
            tracing::debug!(source, "{}", String::from_utf8_lossy(line));
        } else {
            tracing::debug!(source, "(a line over {MAX_LINE} bytes)");
        }
    }
}

/// Returns the advice for a system error.
fn fix(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "Install it, or give its full path",
        io::ErrorKind::PermissionDenied => "Allow the agent's user to execute it",
        _ => "Check the limits on processes, open files and memory",
    }
}
