use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

use crate::{Activity, CaptureError, Clock};

/// Handle that stops the sources that hold a clone of it: waiting sources are woken, and return no further
/// inputs.
#[derive(Debug, Clone)]
pub struct StopHandle {
    /// An eventfd, readable once the handle is stopped.
    event: Arc<OwnedFd>,
    /// The activity of the thread that waits on this clone.
    activity: Option<Arc<Activity>>,
}

/// The reason why a wait has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitOutcome {
    /// [`StopHandle::stop`] was called.
    Stopped,
    /// The file descriptor is readable.
    Ready,
    /// The time limit was reached.
    TimedOut,
}

impl StopHandle {
    /// Creates a handle that is not stopped.
    ///
    /// # Errors
    /// [`CaptureError::SystemCall`] if the process has too many open files.
    pub fn new() -> Result<Self, CaptureError> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let event = Arc::new(fd.map_err(CaptureError::system_error("create a stop handle"))?);
        Ok(Self { event, activity: None })
    }

    /// Returns a clone whose waits are noted in the activity of a thread.
    pub(crate) fn with_activity(&self, activity: &Arc<Activity>) -> Self {
        Self { event: Arc::clone(&self.event), activity: Some(Arc::clone(activity)) }
    }

    /// Stops the sources permanently.
    pub fn stop(&self) {
        // The write fails only after 2^64 - 2 earlier calls, so the handle is stopped in any case.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// Returns whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let mut fds = [PollFd::new(&self.event, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Waits until `fd` is readable, the time is over, or the handle is stopped. A signal may end the wait
    /// early.
    pub(crate) fn wait(
        &self,
        fd: Option<BorrowedFd<'_>>,
        clock: &dyn Clock,
        timeout: Option<Duration>,
    ) -> io::Result<WaitOutcome> {
        Ok(match self.wait_any([fd, None], clock, timeout)? {
            [true, ..] => WaitOutcome::Stopped,
            [_, true, _] => WaitOutcome::Ready,
            _ => WaitOutcome::TimedOut,
        })
    }

    /// Waits until the handle is stopped, one of these is readable, or the time is over. Returns whether the handle is
    /// stopped, and which of them are readable. A signal may end the wait early.
    pub(crate) fn wait_any(
        &self,
        [first, second]: [Option<BorrowedFd<'_>>; 2],
        clock: &dyn Clock,
        timeout: Option<Duration>,
    ) -> io::Result<[bool; 3]> {
        let _rest = self.activity.as_deref().map(Activity::rest);
        poll_readable([Some(self.event.as_fd()), first, second], clock, timeout)
    }
}

/// Waits until one of these is readable or the time is over, and returns which of them are. A signal may end
/// the wait early.
pub(crate) fn poll_readable<const COUNT: usize>(
    fds: [Option<BorrowedFd<'_>>; COUNT],
    clock: &dyn Clock,
    timeout: Option<Duration>,
) -> io::Result<[bool; COUNT]> {
    let timeout = timeout.map(|timeout| clock.begin_wait(timeout));
    // A time that overflows the system's type is treated as unlimited.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    match poll(&mut polled, timeout.as_ref()) {
        Err(Errno::INTR) => return Ok([false; COUNT]),
        polled => polled?,
    };
    let mut ready = polled.iter().map(|fd| !fd.revents().is_empty());
    Ok(fds.map(|fd| fd.is_some() && ready.next().unwrap_or_default()))
}
