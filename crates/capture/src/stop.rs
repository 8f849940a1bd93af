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

use crate::{CaptureError, Clock};

/// Stops the sources that were given a clone of it: those that wait are woken, and say that there is nothing more.
#[derive(Debug, Clone)]
pub struct Stop(Arc<OwnedFd>);

/// What a wait has ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// By [`Stop::stop`].
    Stopped,
    /// There is something to read.
    Ready,
    /// The time is over.
    TimedOut,
}

impl Stop {
    /// A handle that has not stopped anything.
    ///
    /// # Errors
    /// [`CaptureError::System`] when the process has too many open files.
    pub fn new() -> Result<Self, CaptureError> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Self(Arc::new(fd.map_err(CaptureError::system("make a handle to stop by"))?)))
    }

    /// Stops, for ever.
    pub fn stop(&self) {
        // It fails only when 2^64 - 2 calls have gone before: it has stopped then.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Whether it has stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Waits until `fd` can be read, the time is over, or it is stopped. A signal may end it early.
    pub(crate) fn wait(
        &self,
        fd: Option<BorrowedFd<'_>>,
        clock: &dyn Clock,
        time: Option<Duration>,
    ) -> io::Result<Woken> {
        let fds = [Some(self.0.as_fd()), fd];
        Ok(match wait_for(fds, clock, time)? {
            [true, _] => Woken::Stopped,
            [_, true] => Woken::Ready,
            _ => Woken::TimedOut,
        })
    }
}

/// Waits until one of these can be read, or the time is over; which of them can. A signal may end it early.
pub(crate) fn wait_for(
    fds: [Option<BorrowedFd<'_>>; 2],
    clock: &dyn Clock,
    time: Option<Duration>,
) -> io::Result<[bool; 2]> {
    let timeout = time.map(|time| clock.waits(time));
    // What no clock can count to is as good as for ever.
    let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    match poll(&mut polled, timeout.as_ref()) {
        Err(Errno::INTR) => return Ok([false; 2]),
        polled => polled?,
    };
    let mut ready = polled.iter().map(|fd| !fd.revents().is_empty());
    Ok(fds.map(|fd| fd.is_some() && ready.next().unwrap_or_default()))
}
