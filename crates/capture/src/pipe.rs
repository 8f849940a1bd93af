use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    os::fd::AsFd,
};

use crate::{CaptureError, StopHandle, SystemClock, stop::WaitOutcome};

/// A file descriptor whose reads fail once a [`StopHandle`] is triggered.
#[derive(Debug)]
pub struct StoppableReader {
    file: File,
    stop: StopHandle,
}

impl StoppableReader {
    pub(crate) fn new(fd: impl AsFd, stop: &StopHandle) -> Result<Self, CaptureError> {
        let fd = fd.as_fd().try_clone_to_owned().map_err(CaptureError::system_error("open a stream"))?;
        Ok(Self { file: fd.into(), stop: stop.clone() })
    }
}

impl Read for StoppableReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stop.wait(Some(self.file.as_fd()), &SystemClock::default(), None)? {
            WaitOutcome::Ready => self.file.read(buffer),
            WaitOutcome::TimedOut => Err(ErrorKind::Interrupted.into()),
            WaitOutcome::Stopped => Err(io::Error::new(ErrorKind::ConnectionAborted, "stopped")),
        }
    }
}
