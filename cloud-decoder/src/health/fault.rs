use std::fmt;

use lopside_archive::ArchiveError;

/// The reason why something does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// The problem in full. It may contain paths.
    pub(crate) reason: String,
}

/// The kind of a fault, which everyone may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The server is stopping.
    Stopping,
    /// The server runs without this service.
    NotConfigured,
    /// The database cannot be reached.
    Unreachable,
    /// The database is locked by another process.
    Locked,
    /// The disk of the database is full.
    DiskFull,
    /// The disk of the database fails.
    DiskFailed,
    /// The files of the database were moved, deleted or replaced.
    FilesReplaced,
    /// The database is damaged.
    Damaged,
    /// The database has not answered in time.
    NoAnswer,
    /// A task of the server has ended.
    TaskEnded,
    /// No API key is accepted.
    NoKeys,
    /// A file is invalid; its previous version stays in use.
    InvalidFile,
    /// Any other error.
    Other,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

impl From<&ArchiveError> for Fault {
    fn from(error: &ArchiveError) -> Self {
        let kind = match error {
            ArchiveError::Unreachable { .. } => FaultKind::Unreachable,
            ArchiveError::Locked { .. } => FaultKind::Locked,
            ArchiveError::Full { .. } => FaultKind::DiskFull,
            ArchiveError::DiskFailed { .. } | ArchiveError::NotWritable { .. } => FaultKind::DiskFailed,
            ArchiveError::Replaced { .. } => FaultKind::FilesReplaced,
            ArchiveError::Corrupt { .. } => FaultKind::Damaged,
            ArchiveError::WriterFailed { .. } => FaultKind::TaskEnded,
            ArchiveError::Closed => FaultKind::Stopping,
            _ => FaultKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Stopping => "stopping",
            Self::NotConfigured => "not configured",
            Self::Unreachable => "unreachable",
            Self::Locked => "locked",
            Self::DiskFull => "disk full",
            Self::DiskFailed => "disk failed",
            Self::FilesReplaced => "files replaced",
            Self::Damaged => "damaged",
            Self::NoAnswer => "no answer",
            Self::TaskEnded => "task ended",
            Self::NoKeys => "no key is accepted",
            Self::InvalidFile => "invalid file",
            Self::Other => "error",
        })
    }
}
