use std::{io, path::PathBuf, process::ExitStatus};

/// Why a source does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A folder that cannot be watched.
    #[error("the folder {path} cannot be watched: {source}. {fix}", path = path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// How to put it right.
        fix: &'static str,
    },
    /// The watched folder was moved, removed or unmounted.
    #[error("the folder {path} is gone: put it back or mount it again, then watch it anew", path = path.display())]
    FolderGone {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder that cannot be worked with.
    #[error("cannot {doing} {path}: {source}. Look at its permissions and at the room on the disk", path = path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Settings that contradict each other or are out of their range.
    #[error("{0}")]
    Setting(String),
    /// A stream whose first bytes are of no known kind.
    #[error(
        "the stream {name} begins with {first:02x?}, which is neither MJPEG nor binary PNM (P5, P6): \
         say what it is, or let the program write one of these"
    )]
    UnknownStream {
        /// The source's name.
        name: String,
        /// The first bytes.
        first: Vec<u8>,
    },
    /// A stream that cannot be read.
    #[error("the stream {name} cannot be read: {source}")]
    Read {
        /// The source's name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A header that names some of the channels and not the others.
    #[error(
        "line {line} of {name} is a header without {missing}: add the columns, or correct the channels' names"
    )]
    Columns {
        /// The source's name.
        name: String,
        /// The header's line, from 1 on.
        line: u64,
        /// The channels that it does not name, with commas between.
        missing: String,
    },
    /// A picture that cannot be decoded.
    #[error("the picture is damaged or too large: {0}")]
    Picture(#[source] image::ImageError),
    /// A program that cannot be started.
    #[error("{program} cannot be started: {source}. {fix}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
        /// How to put it right.
        fix: &'static str,
    },
    /// A program that failed and is not to be started again.
    #[error("{program} has ended with {status}: its messages are in the log at level debug")]
    Ended {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A camera that cannot be used.
    #[error("the camera {device}: {reason}", device = device.display())]
    Camera {
        /// Its device.
        device: PathBuf,
        /// What is wrong, and how to put it right.
        reason: String,
    },
    /// The system refused something small.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl CaptureError {
    /// What a failed call on a path is told as.
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// What a failed call is told as.
    pub(crate) fn system<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { doing, source: source.into() }
    }
}
