//! A server in the background: started, waited for, stopped by its process ids.

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

use super::process::{Tree, signal};
use crate::{BenchError, error};

/// How long a server may take to be ready.
const START: Duration = Duration::from_mins(2);
/// How long it may take to end by itself.
const STOP: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Lines of its log that an error shows.
const LOG_LINES: usize = 20;

/// A running server; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a command that will listen at a port of this machine; what it prints goes to `log`.
    pub(crate) fn start(name: &str, mut command: Command, port: u16, log: &Path) -> Result<Self, BenchError> {
        let file = File::create(log).map_err(error::io(log))?;
        let copy = file.try_clone().map_err(error::io(log))?;
        command.stdin(Stdio::null()).stdout(file).stderr(copy);
        let child = command.spawn().map_err(|error| BenchError::Server {
            name: name.to_owned(),
            reason: format!("{}: {error}", command.get_program().to_string_lossy()),
        })?;
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), address })
    }

    /// Asks until `ready` says yes.
    pub(crate) fn wait(
        &mut self,
        mut ready: impl FnMut(SocketAddr) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let start = Instant::now();
        loop {
            let Err(error) = ready(self.address) else { return Ok(()) };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(&format!("it ended with {status}")));
            }
            if matches!(error, BenchError::NoProtocol) {
                return Err(self.failed(&error.to_string()));
            }
            if start.elapsed() > START {
                return Err(self.failed(&format!("not ready after {} s: {error}", START.as_secs())));
            }
            pause();
        }
    }

    /// It and all that it started.
    pub(crate) fn tree(&self) -> Tree {
        Tree::of(self.child.id())
    }

    fn failed(&self, reason: &str) -> BenchError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        // Triton's tables are wide and say nothing new.
        let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with(['|', '+'])).collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ");
        BenchError::Server { name: self.name.clone(), reason: format!("{reason}\n  {last}") }
    }
}

impl Drop for Server {
    /// SIGTERM to it, time to end, SIGKILL to it and what it left behind.
    fn drop(&mut self) {
        let all = self.tree().ids();
        signal(&[self.child.id()], Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP && matches!(self.child.try_wait(), Ok(None)) {
            pause();
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(&[self.child.id()], Signal::KILL);
            let _ = self.child.wait();
        }
        let orphans: Vec<u32> = all.into_iter().filter(|&id| id != self.child.id()).collect();
        signal(&orphans, Signal::KILL);
    }
}

/// Another's server says nowhere when it is ready or at its end, so it is looked at again.
#[allow(clippy::disallowed_methods)]
fn pause() {
    thread::sleep(LOOK);
}

/// Ports of this machine that nothing listens on.
pub(crate) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until the last is known, so that they differ.
    let listeners: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
