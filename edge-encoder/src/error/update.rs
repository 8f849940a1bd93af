use std::path::PathBuf;

/// An error of an update over the air.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// A bundle takes other inputs than the sources deliver.
    #[error(
        "the bundle takes {takes}, but the sources deliver {given}: offer the bundle to other devices, or restart this agent with it"
    )]
    SourceMismatch {
        /// The inputs that it takes.
        takes: String,
        /// The inputs that the sources deliver.
        given: String,
    },
    /// The offer of a channel is invalid.
    #[error("the offer of the channel is invalid: {0}")]
    InvalidOffer(String),
    /// Another agent uses the folder of installed bundles.
    #[error(
        "another agent has locked {}: stop that agent, or configure another folder in [update]; `fuser -v {}` finds it",
        lock.display(),
        lock.display()
    )]
    FolderInUse {
        /// The locked file.
        lock: PathBuf,
    },
    /// The trial of a bundle ended in a panic.
    #[error("the trial of the bundle was not completed: {0}")]
    TrialIncomplete(String),
    /// A downloaded file differs from the offer, or the download broke off.
    #[error("cannot download {path}: {reason}; the download is retried")]
    Download {
        /// The path of the file in the bundle.
        path: String,
        /// The reason.
        reason: String,
    },
    /// The disk does not have enough space for a bundle.
    #[error("{}: {free} bytes are free, but the offered bundle needs {needed}: free some disk space", path.display())]
    NotEnoughSpace {
        /// The folder.
        path: PathBuf,
        /// Number of bytes needed.
        needed: u64,
        /// Number of bytes free.
        free: u64,
    },
}
