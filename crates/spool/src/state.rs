//! Cursors and counters, which outlive every segment.
//!
//! The file `state` has two slots, at 0 and at 4096. A new state is written to the slot that does not hold
//! the last one, and is then synced: whatever a crash tears, one slot is intact. If both slots are intact,
//! the larger generation counts.
//!
//! | at | bytes | contents |
//! |---|---|---|
//! | 0 | 4 | `LSpM` |
//! | 4 | 4 | CRC-32C of the following 252 bytes |
//! | 8 | 8 | the generation, counting up from 1 |
//! | 16 | 8 | number of log ends that a crash had torn |
//! | 24 | 64 | class `low`: the last record that is done; records delivered; records dropped: evicted, refused, damaged; the last record that may have been sent; the first and the last record in doubt, 0 for none |
//! | 88 | 64 | class `normal` |
//! | 152 | 64 | class `high` |
//! | 216 | 4 | the spool's name: random, never 0 |
//! | 220 | 16 | the id of the machine that the name belongs to, 0 for unknown |
//! | 236 | 24 | classes `low`, `normal`, `high`: the last record that is known to have been on disk |
//!
//! Numbers are little-endian, with 8 bytes each unless stated otherwise. An earlier format begins with
//! `LSpS`, and ends after the name.

use std::{array, io, mem, ops::RangeInclusive};

use lopside_delivery::Class;

use crate::{File, MachineId, Storage, lock::LockedFolder};

/// The name of the file.
pub const FILE_NAME: &str = "state";
/// Size of the file in bytes.
pub const FILE_BYTES: u64 = 2 * SLOT_BYTES;

const SLOT_BYTES: u64 = 4096;
const STATE_BYTES: usize = 260;
const MAGIC: [u8; 4] = *b"LSpM";
/// Size and first bytes of a state that is not bound to a machine.
const UNBOUND_STATE_BYTES: usize = 220;
const UNBOUND_MAGIC: [u8; 4] = *b"LSpS";
/// Size of the id of a machine in bytes.
const MACHINE_BYTES: usize = 16;
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
    /// The machine that the name belongs to; `None` if it was unknown whenever the spool was opened.
    pub machine: Option<MachineId>,
    /// Number of log ends that a crash had torn.
    pub torn_ends: u64,
    /// The last record per class, in the order of [`Class::ALL`], that is known to have been on disk. Records
    /// up to this one that are missing are damaged, even if no later record exists.
    pub committed: [u64; CLASS_COUNT],
    /// Cursor and counters per class, in the order of [`Class::ALL`].
    pub classes: [Counters; CLASS_COUNT],
}

impl State {
    /// Returns the newer one of the state on disk and the state of the same spool in the memory of this
    /// process. With the same generation, memory has what was not saved yet. The state on disk is older if
    /// another program has removed or restored the file, and newer after an attempt to open the spool again.
    pub(crate) fn newest(stored: Option<&Self>, last: Option<&Self>) -> Option<Self> {
        let Some(last) = last else { return stored.copied() };
        match stored {
            // The folder contains another spool now.
            Some(stored) if stored.spool_name != last.spool_name => Some(*stored),
            Some(stored) if stored.generation > last.generation => {
                let committed = array::from_fn(|class| stored.committed[class].max(last.committed[class]));
                Some(Self { committed, ..*stored })
            }
            _ => Some(*last),
        }
    }

    /// Binds the spool to a machine, unless the machine is unknown. A spool that is bound to another machine
    /// is a copy, or has moved: it takes the name `new_name`, because the original may continue to number
    /// records. Returns the previous name in that case.
    pub(crate) fn bind_to(&mut self, machine: Option<MachineId>, new_name: u32) -> Option<u32> {
        let machine = machine?;
        let bound_to = self.machine.replace(machine)?;
        (bound_to != machine).then(|| {
            let is_free = new_name != self.spool_name;
            let name = if is_free { new_name } else { new_name.wrapping_add(1).max(1) };
            mem::replace(&mut self.spool_name, name)
        })
    }

    fn to_bytes(self) -> [u8; STATE_BYTES] {
        let mut bytes: Vec<u8> = Vec::with_capacity(STATE_BYTES);
        bytes.extend(MAGIC);
        bytes.extend([0_u8; 4]);
        let classes = self.classes.into_iter().flat_map(Counters::to_values);
        bytes.extend([self.generation, self.torn_ends].into_iter().chain(classes).flat_map(u64::to_le_bytes));
        bytes.extend(self.spool_name.to_le_bytes());
        bytes.extend(self.machine.map_or([0; MACHINE_BYTES], MachineId::to_bytes));
        bytes.extend(self.committed.into_iter().flat_map(u64::to_le_bytes));
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        array::from_fn(|index| bytes[index])
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let len = match *bytes.first_chunk::<4>()? {
            MAGIC => STATE_BYTES,
            UNBOUND_MAGIC => UNBOUND_STATE_BYTES,
            _ => return None,
        };
        let bytes = bytes.get(..len)?;
        if bytes[4..8] != crc32c::crc32c(&bytes[8..]).to_le_bytes() {
            return None;
        }
        let (unbound, rest) = bytes.split_at(UNBOUND_STATE_BYTES);
        let mut values = read_values(&unbound[8..]);
        let (generation, torn_ends) = (next_value(&mut values), next_value(&mut values));
        let classes = [(); CLASS_COUNT].map(|()| Counters::from_values(&mut values));
        let spool_name = u32::from_le_bytes(*unbound.last_chunk()?);
        // A state that is not bound to a machine has no further values.
        let machine = rest.first_chunk::<MACHINE_BYTES>().copied().and_then(MachineId::from_bytes);
        let mut values = read_values(rest.get(MACHINE_BYTES..).unwrap_or_default());
        let committed = [(); CLASS_COUNT].map(|()| next_value(&mut values));
        Some(Self { generation, spool_name, machine, torn_ends, committed, classes })
    }
}

/// Returns the numbers that a sequence of bytes consists of, without an incomplete one at its end.
fn read_values(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

fn next_value(values: &mut impl Iterator<Item = u64>) -> u64 {
    values.next().unwrap_or_default()
}

/// The open state file.
#[derive(Debug)]
pub(crate) struct StateFile<F> {
    file: F,
    /// The newest intact state as it was found: the offset of its slot, and its bytes.
    found: Option<(u64, [u8; STATE_BYTES])>,
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
            return Ok((Self { file, found: None }, None));
        }
        let mut state_file = Self { file: storage.open(FILE_NAME)?, found: None };
        let mut newest: Option<State> = None;
        for offset in [0, SLOT_BYTES] {
            let mut bytes = [0; STATE_BYTES];
            let count = state_file.file.read_at(offset, &mut bytes)?;
            let Some(state) = State::parse(&bytes[..count]) else { continue };
            if newest.is_none_or(|newest| newest.generation < state.generation) {
                (newest, state_file.found) = (Some(state), Some((offset, bytes)));
            }
        }
        Ok((state_file, newest))
    }

    /// Writes the newest state that was found once more, and syncs it: after a failed sync it may be only in
    /// the system's cache. The same bytes at the same place are safe: whatever a crash makes of this write,
    /// the state remains intact.
    pub(crate) fn write_found(&mut self) -> io::Result<()> {
        let Some((offset, bytes)) = &self.found else { return Ok(()) };
        self.file.write_at(*offset, bytes)?;
        self.file.sync()
    }

    /// Writes a state to the slot that does not hold the last one, syncs the file, and checks that it is
    /// still in its folder.
    pub(crate) fn write<S: Storage<File = F>>(
        &mut self,
        folder: &LockedFolder<S>,
        state: &State,
    ) -> io::Result<()> {
        let slot = if state.generation.is_multiple_of(2) { 0 } else { SLOT_BYTES };
        self.file.write_at(slot, &state.to_bytes())?;
        self.file.sync()?;
        folder.check_file(FILE_NAME, &self.file)
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
            machine: machine(0xa0),
            torn_ends: 2,
            committed: [27, 28, 29],
            classes: [counters(3), counters(11), counters(19)],
        }
    }

    fn machine(first: u8) -> Option<MachineId> {
        MachineId::from_bytes(array::from_fn(|index| first + index as u8))
    }

    #[test]
    fn the_bytes_match_the_documented_format() {
        let bytes = state().to_bytes();
        assert_eq!((&bytes[..4], bytes.len()), (&b"LSpM"[..], 260));
        assert_eq!(read_values(&bytes[8..216]).collect::<Vec<_>>(), (1..=26).collect::<Vec<_>>());
        assert_eq!(bytes[216..220], [0x78, 0x56, 0x34, 0x12]);
        assert_eq!(bytes[220..236].to_vec(), (0xa0..=0xaf).collect::<Vec<u8>>());
        assert_eq!(read_values(&bytes[236..]).collect::<Vec<_>>(), [27, 28, 29]);
        assert_eq!(State::parse(&bytes), Some(state()));
    }

    #[test]
    fn a_state_that_is_not_bound_to_a_machine_is_read() {
        let mut bytes = state().to_bytes()[..UNBOUND_STATE_BYTES].to_vec();
        bytes[..4].copy_from_slice(&UNBOUND_MAGIC);
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        let expected = State { machine: None, committed: [0; 3], ..state() };
        assert_eq!(State::parse(&bytes), Some(expected));
    }

    #[test]
    fn a_spool_of_another_machine_takes_another_name() {
        let (name, mut bound) = (state().spool_name, state());
        assert_eq!((bound.bind_to(None, 7), bound), (None, state()), "an unknown machine changes nothing");
        assert_eq!((bound.bind_to(machine(0xa0), 7), bound), (None, state()));
        assert_eq!((bound.bind_to(machine(0xb0), 7), bound.spool_name), (Some(name), 7));
        assert_eq!((bound.bind_to(machine(0xa0), 7), bound.spool_name), (Some(7), 8));
        let mut unbound = State { machine: None, ..state() };
        assert_eq!((unbound.bind_to(machine(0xa0), 7), unbound), (None, state()));
    }

    #[test]
    fn the_state_in_memory_is_newer_than_a_removed_or_restored_file() {
        let last = State { generation: 10, committed: [9, 9, 9], ..state() };
        let newest = |stored: Option<State>| State::newest(stored.as_ref(), Some(&last)).unwrap();
        let (other, unsaved) = (State { spool_name: 1, ..state() }, State { torn_ends: 0, ..last });
        assert_eq!((newest(None), newest(Some(state())), newest(Some(unsaved))), (last, last, last));
        assert_eq!(newest(Some(other)), other);
        let stored = State { generation: 11, committed: [1, 20, 1], ..state() };
        assert_eq!(newest(Some(stored)), State { committed: [9, 20, 9], ..stored });
        assert_eq!(State::newest(Some(&stored), None), Some(stored));
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
