//! Child processes that never outlive the command: neither on Ctrl-C, nor on SIGTERM, nor on failure.
//!
//! The command waits for the children in the foreground. An interrupt ends them, a failure ends the command, and servers
//! in the background are stopped when their [`Server`] is dropped.

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
static FOREGROUND: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Installs a signal handler: an interrupt ends the children in the foreground instead of this process.
pub(crate) fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        for pid in foreground().iter() {
            let _ = kill_process(*pid, Signal::TERM);
        }
    })
    .map_err(|error| format!("the signal handler could not be installed: {error}"))
}

/// Returns whether there was an interrupt.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Runs a command and waits until it ends. Several threads may do so at the same time.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = spawn(command, &name)?;
    let pid = Pid::from_child(&child);
    foreground().push(pid);
    if interrupted() {
        // The interrupt arrived before the handler could see the child.
        let _ = kill_process(pid, Signal::TERM);
    }
    let status = child.wait();
    foreground().retain(|other| *other != pid);
    match status {
        Ok(status) if status.success() && !interrupted() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// A server in the background; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    /// The address of the server: the first line of its output.
    pub(crate) address: String,
}

impl Server {
    /// Starts a server and waits until it prints its address.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut server =
            Self { child: spawn(command.stdout(Stdio::piped()), &name)?, address: String::new() };
        let stdout = server
            .child
            .stdout
            .take()
            .ok_or_else(|| format!("the standard output of {name} is not connected"))?;
        BufReader::new(stdout).read_line(&mut server.address).map_err(|error| format!("{name}: {error}"))?;
        server.address.truncate(server.address.trim_end().len());
        if server.address.is_empty() {
            return Err(format!(
                "{name} ended before it printed its address; its messages above give the reason"
            ));
        }
        Ok(server)
    }
}

impl Drop for Server {
    /// Sends SIGTERM and waits until the server has drained. The server limits its drain time itself.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command, name: &str) -> Result<Child> {
    command.spawn().map_err(|error| format!("{name} could not be started: {error}"))
}

fn foreground() -> std::sync::MutexGuard<'static, Vec<Pid>> {
    FOREGROUND.lock().unwrap_or_else(PoisonError::into_inner)
}
