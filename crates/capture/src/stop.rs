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

    /// Waits until `fd` can be read, the time is over, or it is stopped.
    pub(crate) fn wait(
        &self,
        fd: Option<BorrowedFd<'_>>,
        clock: &dyn Clock,
        time: Option<Duration>,
    ) -> io::Result<Woken> {
        let timeout = time.map(|time| clock.waits(time));
        let timeout = timeout.map(|time| Timespec::try_from(time).unwrap_or(Timespec::default()));
        let mut fds = [PollFd::new(&self.0, PollFlags::IN), PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        if let Some(fd) = fd {
            fds[1] = PollFd::from_borrowed_fd(fd, PollFlags::IN);
        }
        match poll(&mut fds, timeout.as_ref()) {
            Err(Errno::INTR) => Ok(Woken::TimedOut),
            Err(error) => Err(error.into()),
            Ok(0) => Ok(Woken::TimedOut),
            Ok(_) if !fds[0].revents().is_empty() => Ok(Woken::Stopped),
            Ok(_) => Ok(Woken::Ready),
        }
    }
}
