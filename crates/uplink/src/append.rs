//! Appended records that wait for a commit, and their results.

use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, DropReason, Spool, SpoolError, Storage};
use tokio::sync::oneshot;

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The record is on the disk.
    Stored,
    /// The record was refused, because the spool is full or the record too large; the refusal is counted on
    /// the disk.
    Refused,
}

/// A record whose result is not on the disk yet.
pub(crate) struct PendingAppend {
    pub(crate) class: Class,
    pub(crate) fate: Option<AppendFate>,
    pub(crate) record: Vec<u8>,
    pub(crate) reply: oneshot::Sender<StoreOutcome>,
}

/// The result of an append as a count that the disk keeps, so that a reopened spool can tell whether it has
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppendFate {
    /// It has this number in its class.
    Numbered(u64),
    /// The class's count of refused records, this one included.
    Refused(u64),
}

impl AppendFate {
    /// Appends a record to the spool.
    pub(crate) fn append_record<S: Storage>(
        spool: &mut Spool<S>,
        class: Class,
        record: &[u8],
    ) -> Result<Self, SpoolError> {
        match spool.append(class, record) {
            Ok(AppendOutcome::Accepted(number)) => return Ok(Self::Numbered(number)),
            Ok(AppendOutcome::Refused) => {}
            Err(error @ SpoolError::TooLarge { .. }) => tracing::error!(%error, "frame dropped"),
            Err(error) => return Err(error),
        }
        Ok(Self::Refused(spool.class_counters(class).dropped(DropReason::Refused)))
    }

    /// Returns whether a spool that was just opened has this record or count.
    pub(crate) fn is_on_disk<S: Storage>(self, spool: &Spool<S>, class: Class) -> bool {
        let counters = spool.class_counters(class);
        match self {
            Self::Numbered(number) => number <= counters.cursor + spool.pending_records(class),
            Self::Refused(count) => count <= counters.dropped(DropReason::Refused),
        }
    }

    /// Returns the answer to the caller, once the record or the count is on the disk.
    pub(crate) fn outcome(self) -> StoreOutcome {
        match self {
            Self::Numbered(_) => StoreOutcome::Stored,
            Self::Refused(_) => StoreOutcome::Refused,
        }
    }
}
