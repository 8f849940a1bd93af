//! Running programs and their logs, which can be read at any time and are printed if a test fails.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{interval, timeout};

/// Maximum wait for a state before the test fails.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

/// The log of a program, which continues over its restarts.
pub(super) struct Log(PathBuf);

impl Log {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Opens the log, to be continued by a program.
    pub(super) fn append(&self) -> File {
        File::options().create(true).append(true).open(&self.0).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.0).unwrap_or_default()).into_owned()
    }

    /// Returns whether a line contains all of these parts.
    pub(super) fn has_line(&self, parts: &[&str]) -> bool {
        self.text().lines().any(|line| parts.iter().all(|part| line.contains(part)))
    }

    /// Waits for a line that contains all of these parts.
    pub(super) async fn until_line(&self, parts: &[&str]) {
        let found = until(|| self.has_line(parts).then_some(())).await;
        assert!(found.is_some(), "the log does not have a line with {parts:?}");
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}:\n{}", self.0.display(), self.text());
        }
    }
}

/// A running program; killed when dropped.
pub(super) struct Process(Option<Child>);

impl Process {
    pub(super) fn new(child: Child) -> Self {
        Self(Some(child))
    }

    /// Sends SIGKILL, which the process cannot catch.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends SIGTERM and waits for a successful exit.
    pub(super) fn stop(mut self) {
        let mut child = self.0.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command that must fail, and returns what it prints.
pub(super) async fn run_failing(command: Command) -> String {
    let mut command = tokio::process::Command::from(command);
    let output = timeout(WAIT_TIMEOUT, command.kill_on_drop(true).output()).await;
    let output = output.expect("the command ends").unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(!output.status.success(), "the command succeeded: {printed}");
    printed
}

/// Waits until `find` returns something; returns `None` if that takes too long.
pub(super) async fn until<T>(mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let polling = async {
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(found) = find() {
                return found;
            }
        }
    };
    timeout(WAIT_TIMEOUT, polling).await.ok()
}
