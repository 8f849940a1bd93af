//! The guard: a process that ends the programs of an agent that was killed. The kernel ends only the process that is
//! killed, and a program that is silent would never notice that nobody reads its output.
//!
//! ```text
//! agent ── numbers on a pipe ──► guard      n: the program of this process group was started; -n: it has ended
//!   └ is killed: the pipe ends ───► SIGTERM to all programs, and SIGKILL after a second
//! ```
//! A number has four bytes in the order of the machine. The guard is in a process group of its own, so that an interrupt
//! from the terminal does not end it before the agent.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{self, Read, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::{Clock as _, SystemClock, stop::poll_readable};

/// Time that the programs have to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);

/// The agent's side of the guard. The process is started with the first program.
#[derive(Debug)]
pub struct ProgramGuard {
    argv: Vec<OsString>,
    state: Mutex<GuardState>,
}

#[derive(Debug, Default)]
struct GuardState {
    /// The process groups of the programs that run.
    groups: BTreeSet<i32>,
    process: Option<GuardProcess>,
}

/// The process of a guard, which is ended when this is dropped.
#[derive(Debug)]
struct GuardProcess {
    child: Child,
    pipe: ChildStdin,
}

impl ProgramGuard {
    /// Creates a guard whose process is started with this command line. It must call [`run_guard`] with its standard
    /// input.
    #[must_use]
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), state: Mutex::default() }
    }

    /// Notes that the program of a process group was started.
    pub(crate) fn watch(&self, group: Pid) {
        let group = group.as_raw_nonzero().get();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.groups.insert(group);
        self.send(&mut state, group);
    }

    /// Notes that the program of a process group has ended. It must not have been reaped yet, so that the number still
    /// belongs to it.
    pub(crate) fn forget(&self, group: Pid) {
        let group = group.as_raw_nonzero().get();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.groups.remove(&group);
        self.send(&mut state, -group);
    }

    /// Sends a number. If the process has ended, another one gets all groups.
    fn send(&self, state: &mut GuardState, number: i32) {
        let is_sent = state.process.as_mut().is_some_and(|process| process.send(number).is_ok());
        if is_sent || state.groups.is_empty() {
            return;
        }
        match GuardProcess::start(&self.argv, &state.groups) {
            Ok(process) => state.process = Some(process),
            Err(error) => {
                state.process = None;
                tracing::warn!(%error, "the guard cannot be started; if the agent is killed, its programs may stay");
            }
        }
    }
}

impl GuardProcess {
    fn start(argv: &[OsString], groups: &BTreeSet<i32>) -> io::Result<Self> {
        let [program, arguments @ ..] = argv else { return Err(io::Error::other("it has no command")) };
        let mut command = Command::new(program);
        command.args(arguments).env_clear().process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let pipe = child.stdin.take().ok_or_else(|| io::Error::other("it has no standard input"))?;
        let mut process = Self { child, pipe };
        groups.iter().try_for_each(|group| process.send(*group))?;
        Ok(process)
    }

    fn send(&mut self, number: i32) -> io::Result<()> {
        self.pipe.write_all(&number.to_ne_bytes())
    }
}

impl Drop for GuardProcess {
    fn drop(&mut self) {
        // Its programs have ended, so that it has nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the process of the guard: reads numbers until the agent has ended, and then ends its programs.
pub fn run_guard(mut pipe: impl Read) {
    let (mut groups, mut number) = (BTreeSet::new(), [0; 4]);
    while pipe.read_exact(&mut number).is_ok() {
        match i32::from_ne_bytes(number) {
            group @ 1.. => groups.insert(group),
            ended => groups.remove(&ended.saturating_neg()),
        };
    }
    end_groups(&groups);
}

fn end_groups(groups: &BTreeSet<i32>) {
    let groups: Vec<Pid> = groups.iter().filter_map(|group| Pid::from_raw(*group)).collect();
    for group in &groups {
        let _ = kill_process_group(*group, Signal::TERM);
    }
    let clock = SystemClock::default();
    for group in &groups {
        // Without a descriptor the program has ended.
        if let Ok(program) = pidfd_open(*group, PidfdFlags::empty()) {
            let _ = poll_readable([Some(program.as_fd())], &clock, Some(GRACE.saturating_sub(clock.now())));
        }
    }
    for group in &groups {
        let _ = kill_process_group(*group, Signal::KILL);
    }
}
