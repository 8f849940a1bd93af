use lopside_delivery::Class;

use crate::{ClassPolicy, DeviceName, MachineId, SpoolError, State, lock, state};

/// Size in bytes of the files that every spool has.
pub(crate) const FIXED_BYTES: u64 = state::FILE_BYTES + lock::FILE_BYTES;
/// Segment sizes are multiples of this many bytes.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// Bytes of the largest record that a block can hold.
const MAX_RECORD_BYTES: usize = 1 << 30;
/// Minimum number of segments of the regular size that the budget has space for.
const MIN_SEGMENTS: u64 = 16;
/// Minimum and maximum of the regular size of a segment, in bytes.
const SEGMENT_BYTES_RANGE: [u64; 2] = [16 << 10, 4 << 20];

/// Options for opening a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Upper bound on the bytes of all files together.
    pub budget_bytes: u64,
    /// Upper bound on the bytes of the segments that are kept although all their records are delivered, in case
    /// the receiver loses records. They are removed earlier if the budget does not have space for them.
    pub keep_delivered_bytes: u64,
    /// The drop policy and the age limit per class, in the order of [`Class::ALL`].
    pub policies: [ClassPolicy; Class::ALL.len()],
    /// Bytes of the largest record that the receiver accepts. A larger record could never leave the spool and
    /// is refused.
    pub max_record_bytes: usize,
    /// The random identifier of the records that this process writes. A new one is drawn each time the spool
    /// is opened, so that no other process of this device, or of a device that replaces it, uses the same
    /// one.
    pub epoch: u64,
    /// The machine that opens the spool. A spool of another machine takes a new [name](crate::Spool::name).
    /// `None` if the machine is unknown, which leaves the name as it is.
    pub machine: Option<MachineId>,
    /// The device whose records these are. A spool that a device of another name has opened last takes a new
    /// [name](crate::Spool::name). `None` if the device is unknown, which leaves the name as it is.
    pub device: Option<DeviceName>,
    /// The state of the same spool in the memory of this process, from [`Spool::close`](crate::Spool::close);
    /// `None` if this process opens it for the first time. The spool counts records as damaged that are in
    /// this state and no longer on disk.
    pub last_state: Option<State>,
}

impl Options {
    /// Creates options that accept every record that a block can hold, on an unknown machine and for an unknown
    /// device, that keep as many delivered records as the budget allows, that refuse new records when the spool is full,
    /// and that have no age limit.
    #[must_use]
    pub fn new(budget_bytes: u64, epoch: u64) -> Self {
        Self {
            budget_bytes,
            keep_delivered_bytes: u64::MAX,
            policies: [ClassPolicy::default(); Class::ALL.len()],
            max_record_bytes: MAX_RECORD_BYTES,
            epoch,
            machine: None,
            device: None,
            last_state: None,
        }
    }

    /// Returns the regular size of a segment in bytes.
    ///
    /// # Errors
    /// Returns [`SpoolError::BudgetTooSmall`].
    pub(crate) fn segment_bytes(&self) -> Result<u64, SpoolError> {
        let least = MIN_SEGMENTS * SEGMENT_BYTES_RANGE[0] + FIXED_BYTES;
        if self.budget_bytes < least {
            return Err(SpoolError::BudgetTooSmall { budget: self.budget_bytes, least });
        }
        let segment_budget = (self.budget_bytes - FIXED_BYTES) / MIN_SEGMENTS;
        let segment_bytes = segment_budget - segment_budget % PAGE_BYTES;
        Ok(segment_bytes.clamp(SEGMENT_BYTES_RANGE[0], SEGMENT_BYTES_RANGE[1]))
    }

    /// Returns the size of the largest record that the budget permits, in bytes. The budget must be large
    /// enough for a spool.
    pub(crate) fn record_limit(&self) -> usize {
        // A header, a record length and padding together are smaller than a page.
        let limit = ((self.budget_bytes - FIXED_BYTES) / 4).saturating_sub(PAGE_BYTES);
        usize::try_from(limit).unwrap_or(usize::MAX).min(MAX_RECORD_BYTES)
    }

    /// Returns the name for a spool that does not have one, or that has to take a new one; never 0.
    pub(crate) fn new_name(&self) -> u32 {
        (self.epoch as u32).max(1)
    }
}
