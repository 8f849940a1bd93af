//! Cursors and counters, which outlive every segment.
//!
//! The file `state` has two slots, at 0 and at 4096. A new state is written to the slot that does not hold
//! the last one, and is then synced: whatever a crash tears, one slot is intact. If both slots are intact,
//! the larger generation counts.
//!
//! | at | bytes | contents |
//! |---|---|---|
//! | 0 | 4 | `LSpS` |
//! | 4 | 4 | CRC-32C of the following 212 bytes |
//! | 8 | 8 | the generation, counting up from 1 |
//! | 16 | 8 | number of log ends that a crash had torn |
//! | 24 | 64 | class `low`: the last record that is done; records delivered; records dropped: evicted, refused, damaged; the last record that may have been sent; the first and the last record in doubt, 0 for none |
//! | 88 | 64 | class `normal` |
//! | 152 | 64 | class `high` |
//! | 216 | 4 | the spool's name: drawn when the state was created, never 0 |
//!
//! Numbers are little-endian, with 8 bytes each unless stated otherwise.

use std::{io, ops::RangeInclusive};

use lopside_delivery::Class;

use crate::{File, Storage};

/// The name of the file.
pub const FILE_NAME: &str = "state";
/// Size of the file in bytes.
pub const FILE_BYTES: u64 = 2 * SLOT_BYTES;

const SLOT_BYTES: u64 = 4096;
const STATE_BYTES: usize = 220;
const MAGIC: [u8; 4] = *b"LSpS";
const CLASS_COUNT: usize = Class::ALL.len();

/// The reason why a record was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The record was evicted to make space for another one.
    Evicted,
    /// The spool did not have space for the record, or the record was too large.
    Refused,
    /// The record is missing on disk or damaged.
    Damaged,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Evicted, Self::Refused, Self::Damaged];
}

/// The cursor and the counters of a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// The cursor: the last record that is done. This record and all before it are delivered, dropped or in
    /// doubt.
    pub cursor: u64,
    /// Number of records that the receiver acknowledged.
    pub delivered: u64,
    /// Number of records that were dropped, in the order of [`DropReason::ALL`].
    pub dropped: [u64; 3],
    /// Upper bound on the records that were sent: no record after this one has been sent.
    pub highest_sent: u64,
    /// The first and the last record in doubt; 0 if there are none.
    pub doubt_range: [u64; 2],
}

impl Counters {
    /// Returns the range of records that were evicted after they were sent and before they were acknowledged,
    /// or `None`. Only the receiver knows whether they are delivered.
    #[must_use]
    pub fn in_doubt(&self) -> Option<RangeInclusive<u64>> {
        let [first, last] = self.doubt_range;
        (first > 0).then_some(first..=last)
    }

    /// Returns the number of records in doubt.
    #[must_use]
    pub fn in_doubt_count(&self) -> u64 {
        self.in_doubt().map_or(0, |range| range.end() - range.start() + 1)
    }

    /// Returns the number of records dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(crate) fn count_dropped(&mut self, reason: DropReason, records: u64) {
        self.dropped[reason as usize] += records;
    }

    /// Evicts all records up to `last`. Those up to `highest_sent` may have been sent and are in doubt.
    pub(crate) fn evict(&mut self, last: u64, highest_sent: u64) {
        let last_in_doubt = last.min(highest_sent);
        // Nothing is sent while records are in doubt. Records after some that were evicted unsent were
        // therefore not sent either, although a spool that was opened again cannot tell.
        let is_behind_unsent = self.doubt_range[0] > 0 && self.doubt_range[1] < self.cursor;
        if last_in_doubt > self.cursor && !is_behind_unsent {
            let first = if self.doubt_range[0] > 0 { self.doubt_range[0] } else { self.cursor + 1 };
            self.doubt_range = [first, last_in_doubt];
            self.cursor = last_in_doubt;
        }
        self.count_dropped(DropReason::Evicted, last.saturating_sub(self.cursor));
        self.cursor = self.cursor.max(last);
    }

    /// Returns the values in their order on disk.
    fn to_values(self) -> impl Iterator<Item = u64> {
        let Self { cursor, delivered, dropped, highest_sent, doubt_range } = self;
        [cursor, delivered].into_iter().chain(dropped).chain([highest_sent]).chain(doubt_range)
    }

    /// Takes the values in their order on disk; missing values are 0.
    fn from_values(values: &mut impl Iterator<Item = u64>) -> Self {
        Self {
            cursor: next_value(values),
            delivered: next_value(values),
            dropped: [(); 3].map(|()| next_value(values)),
            highest_sent: next_value(values),
            doubt_range: [(); 2].map(|()| next_value(values)),
        }
    }
}

/// The cursors and counters of all classes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// Number of times that the state was written.
    pub generation: u64,
    /// The name of the spool, by which the receiver distinguishes its numbers from those of an earlier spool
    /// at the same place.
    pub spool_name: u32,
    /// Number of log ends that a crash had torn.
    pub torn_ends: u64,
    /// Cursor and counters per class, in the order of [`Class::ALL`].
    pub classes: [Counters; CLASS_COUNT],
}

impl State {
    fn to_bytes(self) -> [u8; STATE_BYTES] {
        let classes = self.classes.into_iter().flat_map(Counters::to_values);
        let mut bytes = [0; STATE_BYTES];
        for (number, value) in [self.generation, self.torn_ends].into_iter().chain(classes).enumerate() {
            bytes[8 + 8 * number..][..8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[STATE_BYTES - 4..].copy_from_slice(&self.spool_name.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let checksum = crc32c::crc32c(bytes.get(8..STATE_BYTES)?);
        if bytes[..4] != MAGIC || bytes[4..8] != checksum.to_le_bytes() {
            return None;
        }
        let spool_name = u32::from_le_bytes(*bytes[..STATE_BYTES].last_chunk()?);
        let mut values = bytes[8..].as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let (generation, torn_ends) = (next_value(&mut values), next_value(&mut values));
        let classes = [(); CLASS_COUNT].map(|()| Counters::from_values(&mut values));
        Some(Self { generation, spool_name, torn_ends, classes })
    }
}

fn next_value(values: &mut impl Iterator<Item = u64>) -> u64 {
    values.next().unwrap_or_default()
}

/// The open state file.
#[derive(Debug)]
pub(crate) struct StateFile<F> {
    file: F,
}

impl<F: File> StateFile<F> {
    /// Opens or creates the file. Also returns the newest intact state, or `None` if there is none.
    pub(crate) fn open<S: Storage<File = F>>(
        storage: &S,
        names: &[String],
    ) -> io::Result<(Self, Option<State>)> {
        if !names.iter().any(|name| name == FILE_NAME) {
            let file = storage.create(FILE_NAME, FILE_BYTES)?;
            storage.sync()?;
            return Ok((Self { file }, None));
        }
        let file = Self { file: storage.open(FILE_NAME)? };
        let found = [file.read_slot(0)?, file.read_slot(SLOT_BYTES)?];
        let newest = found.into_iter().flatten().max_by_key(|state| state.generation);
        Ok((file, newest))
    }

    fn read_slot(&self, offset: u64) -> io::Result<Option<State>> {
        let mut bytes = [0; STATE_BYTES];
        let count = self.file.read_at(offset, &mut bytes)?;
        Ok(State::parse(&bytes[..count]))
    }

    /// Writes a state to the slot that does not hold the last one, and syncs the file.
    pub(crate) fn write(&mut self, state: State) -> io::Result<()> {
        let slot = if state.generation.is_multiple_of(2) { 0 } else { SLOT_BYTES };
        self.file.write_at(slot, &state.to_bytes())?;
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let counters = |base: u64| Counters {
            cursor: base,
            delivered: base + 1,
            dropped: [base + 2, base + 3, base + 4],
            highest_sent: base + 5,
            doubt_range: [base + 6, base + 7],
        };
        State {
            generation: 1,
            spool_name: 0x1234_5678,
            torn_ends: 2,
            classes: [counters(3), counters(11), counters(19)],
        }
    }

    #[test]
    fn the_bytes_match_the_documented_format() {
        let bytes = state().to_bytes();
        assert_eq!((&bytes[..4], bytes.len()), (&b"LSpS"[..], 220));
        let values: Vec<u64> =
            bytes[8..216].as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        assert_eq!(values, (1..=26).collect::<Vec<_>>());
        assert_eq!(bytes[216..], [0x78, 0x56, 0x34, 0x12]);
        assert_eq!(State::parse(&bytes), Some(state()));
    }

    #[test]
    fn evicted_records_that_were_sent_are_in_doubt() {
        let mut counters = Counters { cursor: 3, delivered: 3, ..Counters::default() };
        counters.evict(5, 8);
        assert_eq!((counters.in_doubt(), counters.cursor), (Some(4..=5), 5));
        counters.evict(12, 8);
        assert_eq!((counters.in_doubt(), counters.in_doubt_count(), counters.cursor), (Some(4..=8), 5, 12));
        assert_eq!(counters.dropped(DropReason::Evicted), 4);
        counters.evict(10, 8);
        assert_eq!(
            (counters.in_doubt_count(), counters.dropped(DropReason::Evicted), counters.cursor),
            (5, 4, 12)
        );
        counters.evict(20, 30);
        assert_eq!(
            (counters.in_doubt_count(), counters.dropped(DropReason::Evicted), counters.cursor),
            (5, 12, 20)
        );
    }

    #[test]
    fn one_changed_bit_is_detected() {
        let valid = state().to_bytes();
        for bit in 0..8 * STATE_BYTES {
            let mut bytes = valid;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(State::parse(&bytes), None, "{bit}");
        }
        assert_eq!(State::parse(&valid[..STATE_BYTES - 1]), None);
    }
}
