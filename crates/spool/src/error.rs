use std::{io, path::PathBuf};

use lopside_delivery::Class;

/// Errors of the spool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The disk failed, or another program changed the folder. The fate of everything that was not
    /// acknowledged is unknown; open the spool again.
    #[error("the spool cannot {doing}: {source}")]
    Disk {
        /// The operation that failed, as in "the spool cannot …".
        doing: &'static str,
        /// The I/O error of the operating system.
        source: io::Error,
    },
    /// An earlier call failed, so the spool must be opened again.
    #[error("the spool stopped after an earlier disk error: open the spool again")]
    Poisoned,
    /// Another process has the spool open, or this process has opened it before.
    #[error(
        "the spool is in use by {}: a spool can have one user only, so stop that process, or configure another folder; \
         `fuser -v {}` finds it (the lock ends with the process, so do not remove the file)",
        describe_user(*process),
        lock.display()
    )]
    InUse {
        /// The locked file.
        lock: PathBuf,
        /// The process that may hold the lock: the number that the last holder has written into the file, or
        /// `None` if it cannot be read.
        process: Option<u32>,
    },
    /// The budget is below the minimum.
    #[error("a spool of {budget} bytes is too small: give it at least {least} bytes")]
    BudgetTooSmall {
        /// The given budget in bytes.
        budget: u64,
        /// The minimum in bytes.
        least: u64,
    },
    /// Records were sent and then evicted, and the receiver has not yet reported which of them it has.
    #[error(
        "records of class {class} are in doubt: ask the receiver which of them it has before sending more records"
    )]
    InDoubt {
        /// The class of the records.
        class: Class,
    },
    /// The record is too large for the spool or for its receiver.
    #[error("a record of {len} bytes exceeds the limit of {most} bytes per record of this spool")]
    TooLarge {
        /// Size of the record in bytes.
        len: usize,
        /// Maximum size in bytes.
        most: usize,
    },
}

impl SpoolError {
    /// Returns a function that wraps an I/O error in [`SpoolError::Disk`]. `doing` completes the message "the
    /// spool cannot …".
    pub fn disk_error(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { doing, source }
    }
}

fn describe_user(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"))
}
