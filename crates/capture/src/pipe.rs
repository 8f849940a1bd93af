use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    os::fd::AsFd,
};

use crate::{CaptureError, Stop, SystemClock, stop::Woken};

/// A file descriptor whose reads fail once a [`Stop`] is triggered.
#[derive(Debug)]
pub struct Pipe {
    file: File,
    stop: Stop,
}

impl Pipe {
    pub(crate) fn new(fd: impl AsFd, stop: &Stop) -> Result<Self, CaptureError> {
        let fd = fd.as_fd().try_clone_to_owned().map_err(CaptureError::system("open a stream"))?;
        Ok(Self { file: fd.into(), stop: stop.clone() })
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stop.wait(Some(self.file.as_fd()), &SystemClock::default(), None)? {
            Woken::Ready => self.file.read(buffer),
            Woken::TimedOut => Err(ErrorKind::Interrupted.into()),
            Woken::Stopped => Err(io::Error::new(ErrorKind::ConnectionAborted, "stopped")),
        }
    }
}
