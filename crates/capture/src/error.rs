use std::{io, path::PathBuf, process::ExitStatus};

use lopside_input::ImageFileError;

/// Reason why a source cannot continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A folder cannot be watched.
    #[error("the folder {path} cannot be watched: {source}. {fix}", path = path.display())]
    WatchFolder {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
        /// Advice for the operator.
        fix: &'static str,
    },
    /// The watched folder was moved, removed or unmounted.
    #[error("the folder {path} was moved, removed or unmounted: restore or mount it, then restart the agent", path = path.display())]
    FolderGone {
        /// The folder.
        path: PathBuf,
    },
    /// An operation on a file or folder failed.
    #[error("cannot {doing} {path}: {source}. Check its permissions and the free disk space", path = path.display())]
    FileOperation {
        /// The operation.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file was set aside, because the agent ended twice while the file was being read.
    #[error(
        "the agent ended twice while it was reading {path}, so the file is set aside: {place}. Check the file, and the \
         memory limit of the service",
        path = path.display()
    )]
    FileSetAside {
        /// The file.
        path: PathBuf,
        /// The place where it is now, and how it can be read again.
        place: String,
    },
    /// Settings contradict each other or are out of range.
    #[error("{0}")]
    InvalidSetting(String),
    /// The first bytes of a stream match none of the known formats.
    #[error(
        "the stream {name} begins with {first:02x?}, which is neither MJPEG nor binary PNM (P5, P6): \
         configure its format, or use a program that writes one of these"
    )]
    UnknownStream {
        /// The name of the source.
        name: String,
        /// The first bytes.
        first: Vec<u8>,
    },
    /// A stream cannot be read.
    #[error("the stream {name} cannot be read: {source}")]
    ReadStream {
        /// The name of the source.
        name: String,
        /// The error of the system.
        source: io::Error,
    },
    /// A header names some of the channels and not the others.
    #[error(
        "line {line} of {name} is a header without {missing}: add these columns, or correct the channel names"
    )]
    MissingColumns {
        /// The name of the source.
        name: String,
        /// The line number of the header, from 1.
        line: u64,
        /// The missing channels, separated by commas.
        missing: String,
    },
    /// An image cannot be decoded.
    #[error("the image is damaged or too large: {0}")]
    DecodeImage(#[source] ImageFileError),
    /// A program cannot be started.
    #[error("{program} cannot be started: {source}. {fix}")]
    StartProgram {
        /// The program.
        program: String,
        /// The error of the system.
        source: io::Error,
        /// Advice for the operator.
        fix: &'static str,
    },
    /// A program failed and is not to be restarted.
    #[error("{program} has ended with {status}: see its messages in the log at level debug")]
    ProgramFailed {
        /// The program.
        program: String,
        /// The exit status.
        status: ExitStatus,
    },
    /// A camera cannot be used.
    #[error("the camera {device}: {reason}", device = device.display())]
    Camera {
        /// The device of the camera.
        device: PathBuf,
        /// The reason, with advice for the operator.
        reason: String,
    },
    /// Another system call failed.
    #[error("cannot {doing}: {source}")]
    SystemCall {
        /// The operation.
        doing: &'static str,
        /// The error of the system.
        source: io::Error,
    },
}

impl CaptureError {
    /// Returns a function that turns the error of an operation on a path into [`CaptureError::FileOperation`].
    pub(crate) fn file_error(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::FileOperation { doing, path, source }
    }

    /// Returns a function that turns the error of an operation into [`CaptureError::SystemCall`].
    pub(crate) fn system_error<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::SystemCall { doing, source: source.into() }
    }
}
