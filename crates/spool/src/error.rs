use std::{io, path::PathBuf};

use lopside_delivery::Class;

use crate::disk_fix::disk_fix;

/// Errors of the spool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The disk failed, or another program changed the folder. The fate of everything that was not
    /// acknowledged is unknown; open the spool again.
    #[error("the spool in {} cannot {doing}: {source}{}", folder.display(), describe_fix(source))]
    Disk {
        /// The operation that failed, as in "the spool in … cannot …".
        doing: &'static str,
        /// The folder of the spool.
        folder: PathBuf,
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
    /// The record is too large for the budget.
    #[error(
        "a record of {len} bytes exceeds the {most} bytes per record that the budget of the spool permits: configure a \
         larger budget"
    )]
    TooLarge {
        /// Size of the record in bytes.
        len: usize,
        /// Maximum size in bytes.
        most: usize,
    },
    /// The record is too large for the receiver, and could never leave the spool.
    #[error(
        "a record of {len} bytes exceeds the {most} bytes per record that the receiver accepts: store smaller records"
    )]
    TooLargeForReceiver {
        /// Size of the record in bytes.
        len: usize,
        /// Maximum size in bytes.
        most: usize,
    },
}

impl SpoolError {
    /// Returns a function that wraps an I/O error in [`SpoolError::Disk`]. `doing` completes the message "the
    /// spool in `folder` cannot …".
    pub fn disk_error(doing: &'static str, folder: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { doing, folder, source }
    }
}

/// Returns the end of a message, with the fix if it is known.
fn describe_fix(error: &io::Error) -> String {
    disk_fix(error.kind()).map(|fix| format!("; {fix}")).unwrap_or_default()
}

fn describe_user(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_failure_of_the_disk_names_the_folder_the_cause_and_the_fix() {
        let cases = [
            (Errno::ROFS, "Read-only file system", "mount it writable"),
            (Errno::NOSPC, "No space left", "free some space"),
            (Errno::DQUOT, "quota", "free some space"),
            (Errno::ACCESS, "Permission denied", "allow this user"),
        ];
        for (errno, cause, fix) in cases {
            let error = SpoolError::disk_error("lock its folder", "/mnt/spool".into())(errno.into());
            let message = error.to_string();
            assert!(message.starts_with("the spool in /mnt/spool cannot lock its folder: "), "{message}");
            assert!(message.contains(cause) && message.contains(fix), "{message}");
        }
        let error = SpoolError::disk_error("write its state", "/mnt/spool".into())(Errno::IO.into());
        assert!(error.to_string().ends_with("(os error 5)"), "{error}");
    }
}
