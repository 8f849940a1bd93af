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
    #[error("the folder {path} was moved, removed or unmounted: restore or mount it; it is then watched again", path = path.display())]
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
    /// A file of a watched folder is not an input.
    #[error(
        "{path} is not read: {reason}. It stays where it is; files of this source that are not read: {count}",
        path = path.display()
    )]
    UnknownFile {
        /// The file.
        path: PathBuf,
        /// The reason, with advice for the operator.
        reason: String,
        /// Number of such files so far.
        count: u64,
    },
    /// Settings contradict each other or are out of range.
    #[error("{0}")]
    InvalidSetting(String),
    /// The first bytes of a stream match none of the known formats.
    #[error(
        "the stream {name} begins with {first:02x?}, which is neither MJPEG, PNG, YUV4MPEG2 nor binary PNM (P5, P6): \
         {fix}"
    )]
    UnknownStream {
        /// The name of the source.
        name: String,
        /// The first bytes.
        first: Vec<u8>,
        /// Advice for the operator.
        fix: &'static str,
    },
    /// A stream is of a known format, and of a kind that is not supported.
    #[error("the stream {name} is not supported: {reason}")]
    UnsupportedStream {
        /// The name of the source.
        name: String,
        /// The reason, with advice for the operator.
        reason: &'static str,
    },
    /// A source that should always deliver has not delivered an input for too long.
    #[error(
        "{name} has not delivered an input for {seconds} s, and is started again: check the program or the camera, or \
         raise silence_seconds (0 for a source that may be silent)"
    )]
    Silent {
        /// The name of the source.
        name: String,
        /// The time limit, in seconds.
        seconds: f64,
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
    #[error("the image cannot be used: {0}")]
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
    /// Returns whether the problem concerns a single file, so that the next one can be read at once.
    #[must_use]
    pub fn is_of_one_file(&self) -> bool {
        matches!(self, Self::FileSetAside { .. } | Self::UnknownFile { .. })
    }

    /// Returns whether the problem concerns a watched folder and not one of its inputs, none of which is lost.
    #[must_use]
    pub fn is_of_folder(&self) -> bool {
        matches!(
            self,
            Self::WatchFolder { .. }
                | Self::FolderGone { .. }
                | Self::FileOperation { .. }
                | Self::UnknownFile { .. }
        )
    }

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
