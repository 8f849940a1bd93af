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
    /// A bundle that has passed its trial could not be opened by the agent, which panicked.
    #[error("the trial of the bundle was not completed: {0}")]
    TrialIncomplete(String),
    /// The encoder of a bundle does not pass its trial.
    #[error("{0}")]
    TrialFailed(String),
    /// The process that tried a bundle crashed.
    #[error("the trial of the bundle crashed ({status}): {message}")]
    TrialCrashed {
        /// The exit status, or the signal.
        status: String,
        /// The beginning of its messages.
        message: String,
    },
    /// The trial of a bundle needs too much memory.
    #[error(
        "the trial of the bundle needs more than {allowed_mb} MB of memory: offer a smaller encoder; or raise trial_memory_mb in \
         [update], and offer another bundle before this one again"
    )]
    TrialOutOfMemory {
        /// The limit, in megabytes.
        allowed_mb: u64,
    },
    /// The trial of a bundle takes too long.
    #[error(
        "the trial of the bundle did not end within {seconds} s: offer a faster encoder; or raise trial_seconds in [update], and \
         offer another bundle before this one again"
    )]
    TrialTimedOut {
        /// The limit, in seconds.
        seconds: u64,
    },
    /// The disk has lost or changed files of a downloaded bundle.
    #[error("{0}; the bundle is downloaded again")]
    DamagedFiles(String),
    /// A bundle could not be tried, for a reason that does not lie in the bundle.
    #[error("the bundle cannot be tried: {0}; the trial is repeated later")]
    TrialNotRun(String),
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
