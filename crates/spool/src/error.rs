use std::io;

use crate::Class;

/// Why the spool does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The disk failed. Nothing is known of what was not acknowledged; open the spool again.
    #[error("the spool cannot {doing}: {source}")]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier call failed.
    #[error("the spool's disk has failed before: open the spool again")]
    Poisoned,
    /// The budget is too small to work with.
    #[error("a spool of {budget} bytes cannot be: give it {least} at least")]
    Budget {
        /// What was given.
        budget: u64,
        /// What is needed.
        least: u64,
    },
    /// Records were sent, had to make room, and nobody has said what the receiver has of them.
    #[error(
        "records of the class {class} are in doubt: ask the receiver which of them it has before more are sent"
    )]
    InDoubt {
        /// Their class.
        class: Class,
    },
    /// A record that no segment can hold.
    #[error("a record of {len} bytes is over the {most} that a spool of this budget takes")]
    TooLarge {
        /// Its bytes.
        len: usize,
        /// The most.
        most: usize,
    },
}

impl SpoolError {
    /// What a failed call is told as: "the spool cannot …".
    pub fn disk(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { doing, source }
    }
}
