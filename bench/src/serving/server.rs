//! A server in the background: started, waited for, and stopped by its process ids.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::process::{ProcessTree, send_signal};
use crate::{
    BenchError,
    error::{ServingError, io_error},
};

/// Maximum time until a server is ready.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// Maximum time for a server to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Interval between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum number of lines of the log that an error shows.
const LOG_LINES: usize = 20;

/// A running server; stopped when dropped.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    name: String,
    child: Child,
    log: PathBuf,
    /// The address on which the server listens.
    pub(crate) address: SocketAddr,
}

impl ServerProcess {
    /// Starts a command that will listen on a port of this machine; its output is written to `log`.
    pub(crate) fn start(name: &str, mut command: Command, port: u16, log: &Path) -> Result<Self, BenchError> {
        let file = File::create(log).map_err(io_error(log))?;
        let stderr = file.try_clone().map_err(io_error(log))?;
        command.stdin(Stdio::null()).stdout(file).stderr(stderr);
        let child = command.spawn().map_err(|error| ServingError::Start {
            name: name.to_owned(),
            reason: format!("{} could not be started: {error}", command.get_program().to_string_lossy()),
        })?;
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), address })
    }

    /// Polls until `check_ready` succeeds.
    pub(crate) fn wait(
        &mut self,
        mut check_ready: impl FnMut(SocketAddr) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let start = Instant::now();
        loop {
            let Err(error) = check_ready(self.address) else { return Ok(()) };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.server_error(&format!("the server ended with {status} before it was ready")));
            }
            if matches!(error, BenchError::Serving(ServingError::UnsupportedProtocol)) {
                return Err(self.server_error(&error.to_string()));
            }
            if start.elapsed() > START_TIMEOUT {
                return Err(self.server_error(&format!(
                    "the server was not ready after {} s: {error}",
                    START_TIMEOUT.as_secs()
                )));
            }
            wait_poll_interval();
        }
    }

    /// Returns the process and its descendants.
    pub(crate) fn tree(&self) -> ProcessTree {
        ProcessTree::new(self.child.id())
    }

    fn server_error(&self, reason: &str) -> BenchError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        // Triton's wide tables do not contain useful information.
        let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with(['|', '+'])).collect();
        let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ");
        let reason = format!("{reason}; the end of its log:\n  {tail}");
        ServingError::Start { name: self.name.clone(), reason }.into()
    }
}

impl Drop for ServerProcess {
    /// Sends SIGTERM to the server, waits for it to end, and sends SIGKILL to it and its remaining
    /// descendants.
    fn drop(&mut self) {
        let ids = self.tree().ids();
        send_signal(&[self.child.id()], Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP_TIMEOUT && matches!(self.child.try_wait(), Ok(None)) {
            wait_poll_interval();
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            send_signal(&[self.child.id()], Signal::KILL);
            let _ = self.child.wait();
        }
        let orphans: Vec<u32> = ids.into_iter().filter(|&id| id != self.child.id()).collect();
        send_signal(&orphans, Signal::KILL);
    }
}

/// Waits between two polls: a server of another vendor does not signal that it is ready or has ended.
#[allow(clippy::disallowed_methods)]
fn wait_poll_interval() {
    thread::sleep(POLL_INTERVAL);
}

/// Returns ports of this machine on which no process listens.
pub(crate) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    // All sockets are kept open until the last port is known, so that the ports differ.
    let listeners: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
