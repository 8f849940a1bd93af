//! Child processes that never outlive the command, on Ctrl-C, on SIGTERM and on failure.
//!
//! One child at a time is waited for in the foreground; an interrupt ends it, its failure unwinds the command, and
//! on the way servers in the background are stopped by [`Server`]'s drop.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static FOREGROUND: Mutex<Option<Pid>> = Mutex::new(None);

/// From now on an interrupt ends the child in the foreground instead of this process.
pub(crate) fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        if let Some(pid) = *foreground() {
            let _ = kill_process(pid, Signal::TERM);
        }
    })
    .map_err(|error| format!("signals cannot be caught: {error}"))
}

/// Whether there was an interrupt.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = spawn(command, &name)?;
    *foreground() = Some(Pid::from_child(&child));
    if interrupted() {
        // The interrupt came before the child was known.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    }
    let status = child.wait();
    *foreground() = None;
    match status {
        Ok(status) if status.success() && !interrupted() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// A server in the background; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    /// The first line it printed: its address.
    pub(crate) address: String,
}

impl Server {
    /// Starts a server and waits until it prints its address.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut server =
            Self { child: spawn(command.stdout(Stdio::piped()), &name)?, address: String::new() };
        let stdout = server.child.stdout.take().ok_or_else(|| format!("{name} has no stdout"))?;
        BufReader::new(stdout).read_line(&mut server.address).map_err(|error| format!("{name}: {error}"))?;
        server.address.truncate(server.address.trim_end().len());
        if server.address.is_empty() {
            return Err(format!("{name} did not start; it says why above"));
        }
        Ok(server)
    }
}

impl Drop for Server {
    /// SIGTERM, and the drain that follows it. The server bounds its own drain time.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command, name: &str) -> Result<Child> {
    command.spawn().map_err(|error| format!("{name} cannot be started: {error}"))
}

fn foreground() -> std::sync::MutexGuard<'static, Option<Pid>> {
    FOREGROUND.lock().unwrap_or_else(PoisonError::into_inner)
}
