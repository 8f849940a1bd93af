use std::{
    ffi::{CStr, OsStr, OsString},
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

use crate::CaptureError;

/// A change in a folder.
#[derive(Debug)]
pub(crate) enum FolderChange {
    /// A file of this name was closed by a writer, or moved in.
    Finished(OsString),
    /// The system's event queue overflowed.
    Overflow,
    /// The folder was moved, removed or unmounted.
    Gone,
}

/// An inotify watch of one folder.
#[derive(Debug)]
pub(crate) struct FolderWatch(OwnedFd);

impl FolderWatch {
    pub(crate) fn open(path: &Path) -> Result<Self, CaptureError> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|error| watch_error(path, error))?;
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&fd, path, flags).map_err(|error| watch_error(path, error))?;
        Ok(Self(fd))
    }

    /// Passes on all changes since the last call.
    pub(crate) fn drain(&self, mut on_change: impl FnMut(FolderChange)) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.0, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => {
                    if let Some(change) = parse_event(event.events(), event.file_name().map(CStr::to_bytes)) {
                        on_change(change);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for FolderWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn parse_event(flags: ReadFlags, name: Option<&[u8]>) -> Option<FolderChange> {
    let gone_flags = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED;
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        Some(FolderChange::Overflow)
    } else if flags.intersects(gone_flags) {
        Some(FolderChange::Gone)
    } else {
        name.map(|name| FolderChange::Finished(OsStr::from_bytes(name).to_owned()))
    }
}

fn watch_error(path: &Path, error: Errno) -> CaptureError {
    CaptureError::WatchFolder { path: path.to_owned(), source: error.into(), fix: advice_for(error) }
}

/// Returns the advice for a system error.
fn advice_for(error: Errno) -> &'static str {
    match error {
        Errno::NOSPC => "Raise the limit on watches: sysctl fs.inotify.max_user_watches=65536",
        Errno::MFILE => {
            "Raise the limit on inotify instances: sysctl fs.inotify.max_user_instances=512, or ulimit -n"
        }
        Errno::NOENT => "Create the folder, or mount its file system",
        Errno::NOTDIR => "Give a folder instead of a file",
        Errno::ACCESS => "Allow the agent's user to read the folder",
        _ => "Check that the folder is on a local file system",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_the_system_are_parsed() {
        assert!(matches!(parse_event(ReadFlags::QUEUE_OVERFLOW, None), Some(FolderChange::Overflow)));
        assert!(matches!(parse_event(ReadFlags::IGNORED, None), Some(FolderChange::Gone)));
        let finished = parse_event(ReadFlags::CLOSE_WRITE, Some(b"a"));
        assert!(matches!(finished, Some(FolderChange::Finished(name)) if name == "a"));
    }

    #[test]
    fn a_limit_names_its_setting() {
        assert!(advice_for(Errno::NOSPC).contains("fs.inotify.max_user_watches"));
        assert!(advice_for(Errno::MFILE).contains("fs.inotify.max_user_instances"));
    }
}
