//! Appended records that wait for a commit, and their results.

use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, DropReason, Spool, SpoolError, Storage};
use tokio::sync::oneshot;

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The record is on the disk.
    Stored,
    /// The record was refused, because the spool is full. The refusal is counted on the disk if the record was
    /// [dropped](RefusalPolicy::Drop).
    Refused,
    /// The record was dropped, because it is too large for the spool or for the cloud. It is counted as refused on the
    /// disk.
    TooLarge,
}

/// The fate of a record for which the spool does not have space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalPolicy {
    /// The record is dropped, and counted as refused.
    Drop,
    /// The caller keeps the input and appends the record again later, so it is not counted.
    Keep,
}

/// A record whose result is not on the disk yet.
pub(crate) struct PendingAppend {
    pub(crate) append: Append,
    pub(crate) fate: Option<AppendFate>,
    pub(crate) reply: oneshot::Sender<StoreOutcome>,
}

/// A record to append.
pub(crate) struct Append {
    pub(crate) class: Class,
    pub(crate) record: Vec<u8>,
    pub(crate) policy: RefusalPolicy,
}

/// The result of an append as a count that the disk keeps, so that a reopened spool can tell whether it has
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppendFate {
    /// It has this number in its class.
    Numbered(u64),
    /// It was dropped because the spool is full. The class's count of refused records, this one included.
    Refused(u64),
    /// It was dropped because it is too large. The class's count of refused records, this one included.
    TooLarge(u64),
    /// The caller keeps it because the spool is full. The disk does not have a count of it.
    Kept,
}

impl Append {
    /// Appends the record to the spool.
    pub(crate) fn apply<S: Storage>(&self, spool: &mut Spool<S>) -> Result<AppendFate, SpoolError> {
        let Self { class, record, policy } = self;
        let appended = match policy {
            RefusalPolicy::Drop => spool.append(*class, record),
            RefusalPolicy::Keep => spool.try_append(*class, record),
        };
        let refused_count = spool.class_counters(*class).dropped(DropReason::Refused);
        match appended {
            Ok(AppendOutcome::Accepted(number)) => Ok(AppendFate::Numbered(number)),
            Ok(AppendOutcome::Refused) if *policy == RefusalPolicy::Keep => Ok(AppendFate::Kept),
            Ok(AppendOutcome::Refused) => Ok(AppendFate::Refused(refused_count)),
            Err(error @ (SpoolError::TooLarge { .. } | SpoolError::TooLargeForReceiver { .. })) => {
                tracing::error!(%error, "frame dropped");
                Ok(AppendFate::TooLarge(refused_count))
            }
            Err(error) => Err(error),
        }
    }
}

impl AppendFate {
    /// Returns whether a spool that was just opened has this record or count.
    pub(crate) fn is_on_disk<S: Storage>(self, spool: &Spool<S>, class: Class) -> bool {
        let counters = spool.class_counters(class);
        match self {
            Self::Numbered(number) => number <= counters.cursor + spool.pending_records(class),
            Self::Refused(count) | Self::TooLarge(count) => count <= counters.dropped(DropReason::Refused),
            Self::Kept => true,
        }
    }

    /// Returns the answer to the caller, once the record or the count is on the disk.
    pub(crate) fn outcome(self) -> StoreOutcome {
        match self {
            Self::Numbered(_) => StoreOutcome::Stored,
            Self::Refused(_) | Self::Kept => StoreOutcome::Refused,
            Self::TooLarge(_) => StoreOutcome::TooLarge,
        }
    }
}
