use std::{
    env,
    ffi::{OsStr, OsString},
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

use super::{environment::private_names, guard::ProgramGuard};
use crate::{CaptureError, SourceContext, lines::LineReader, stop::poll_readable};

/// The longest line of standard error that is logged, in bytes.
const MAX_LINE_BYTES: usize = 1024;

/// A running program and its process group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    /// A pidfd, readable once the program has ended.
    pidfd: OwnedFd,
    stdout: OwnedFd,
    guard: Option<Arc<ProgramGuard>>,
}

impl Process {
    /// Starts a program. If the process of this guard outlives this one, it ends the program.
    pub(crate) fn spawn(
        argv: &[OsString],
        source: &Arc<str>,
        guard: Option<Arc<ProgramGuard>>,
    ) -> Result<Self, CaptureError> {
        let [program, arguments @ ..] = argv else {
            return Err(CaptureError::InvalidSetting(format!(
                "{source}: the command is empty; give a program"
            )));
        };
        let mut command = Command::new(program);
        for name in private_names(env::vars_os().map(|(name, _)| name)) {
            command.env_remove(name);
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| start_error(program, error))?;
        let group = Pid::from_child(&child);
        if let Some(guard) = &guard {
            guard.watch(group);
        }
        let pipes = watch_child(&mut child, group, source);
        let (pidfd, stdout) = pipes.map_err(|error| {
            let _ = kill_and_reap(&mut child, group, guard.as_deref());
            start_error(program, error)
        })?;
        Ok(Self { child, group, pidfd, stdout, guard })
    }

    /// Returns its pidfd.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Returns its standard output.
    pub(crate) fn stdout(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }

    /// Ends the program and the rest of its group: with SIGTERM, and with SIGKILL after the grace time. If
    /// `may_end_by_itself` is set, the program first gets the grace time to end by itself, unless the source is
    /// stopped.
    pub(crate) fn terminate_group(
        mut self,
        context: &SourceContext,
        grace: Duration,
        may_end_by_itself: bool,
    ) -> io::Result<ExitStatus> {
        if may_end_by_itself {
            context.stop.wait(Some(self.pidfd.as_fd()), &*context.clock, Some(grace))?;
        }
        if !self.wait_for_end(context, Duration::ZERO)? {
            let _ = kill_process_group(self.group, Signal::TERM);
            self.wait_for_end(context, grace)?;
        }
        kill_and_reap(&mut self.child, self.group, self.guard.as_deref())
    }

    /// Waits and returns whether it ends within this time.
    fn wait_for_end(&self, context: &SourceContext, timeout: Duration) -> io::Result<bool> {
        let deadline = context.clock.now() + timeout;
        loop {
            let remaining = deadline.saturating_sub(context.clock.now());
            let [has_ended, _] =
                poll_readable([Some(self.pidfd.as_fd()), None], &*context.clock, Some(remaining))?;
            if has_ended || context.clock.now() >= deadline {
                return Ok(has_ended);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After it has been reaped, its process ID may belong to another process.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = kill_and_reap(&mut self.child, self.group, self.guard.as_deref());
        }
    }
}

/// Kills a program with its group, and waits for its end.
fn kill_and_reap(child: &mut Child, group: Pid, guard: Option<&ProgramGuard>) -> io::Result<ExitStatus> {
    // The program is not reaped before this, so that its process ID is still its own.
    let _ = kill_process_group(group, Signal::KILL);
    if let Some(guard) = guard {
        guard.forget(group);
    }
    child.wait()
}

/// Returns its pidfd and its standard output, and starts a thread that logs its standard error.
fn watch_child(child: &mut Child, group: Pid, source: &Arc<str>) -> io::Result<(OwnedFd, OwnedFd)> {
    let pidfd = pidfd_open(group, PidfdFlags::empty())?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("its output is not available"));
    };
    let source = source.clone();
    thread::Builder::new().name("stderr".into()).spawn(move || log_lines(stderr, &source))?;
    Ok((pidfd, stdout.into()))
}

/// Logs lines until all processes that could write them have ended.
fn log_lines(reader: impl Read, source: &str) {
    let mut lines = LineReader::new(reader, MAX_LINE_BYTES);
    while let Ok(Some((_, line))) = lines.next_line() {
        if let Some(line) = line {
            tracing::debug!(source, "{}", String::from_utf8_lossy(line));
        } else {
            tracing::debug!(source, "(a line over {MAX_LINE_BYTES} bytes)");
        }
    }
}

fn start_error(program: &OsStr, error: io::Error) -> CaptureError {
    CaptureError::StartProgram {
        program: program.display().to_string(),
        fix: advice_for(&error),
        source: error,
    }
}

/// Returns the advice for a system error.
fn advice_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "Install it, or give its full path",
        io::ErrorKind::PermissionDenied => "Allow the agent's user to execute it",
        _ => "Check the limits on processes, open files and memory",
    }
}
