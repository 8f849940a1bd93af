//! Cursors and counters, which outlive every segment.
//!
//! The file `state` has two slots, at 0 and at 4096. A new state is written to the slot that does not hold
//! the last one, and is then synced: whatever a crash tears, one slot is intact. If both slots are intact,
//! the larger generation counts.
//!
//! | at | bytes | contents |
//! |---|---|---|
//! | 0 | 4 | `LSpA` |
//! | 4 | 4 | CRC-32C of the following 724 bytes |
//! | 8 | 8 | the generation, counting up from 1 |
//! | 16 | 8 | number of log ends that a crash had torn |
//! | 24 | 64 | class `low`: the last record that is done; records delivered; records dropped: evicted, refused, damaged; the last record that may have been sent; the first and the last record in doubt, 0 for none |
//! | 88 | 64 | class `normal` |
//! | 152 | 64 | class `high` |
//! | 216 | 4 | the spool's name: random, never 0 |
//! | 220 | 16 | the id of the machine that the name belongs to, 0 for unknown |
//! | 236 | 24 | classes `low`, `normal`, `high`: the last record that is known to have been on disk |
//! | 260 | 8 | number of times that the spool took a new name |
//! | 268 | 104 | class `low`: the last record that was acknowledged; records lost by the receiver; the last record that was evicted; the last record that was done before the cursor was moved back; the damaged records among these; four times the first and the last record of a range that is counted as lost, 0 for none |
//! | 372 | 104 | class `normal` |
//! | 476 | 104 | class `high` |
//! | 580 | 128 | the name of the device that the spool's name belongs to, in ASCII and followed by zeros; zeros for unknown |
//! | 708 | 24 | classes `low`, `normal`, `high`: records dropped because of their age |
//!
//! Numbers are little-endian, with 8 bytes each unless stated otherwise. There are three earlier formats. One begins
//! with `LSpK` and ends at 708: with it, a segment may begin after a record that the state does not know. One begins
//! with `LSpM` and ends at 260, and one begins with `LSpS` and ends after the name. These two did not keep delivered
//! records, so all records up to the cursor count as not kept.

use std::array;

use lopside_delivery::Class;

use crate::{
    Counters, DeviceName, DropReason, MachineId, PastRecords,
    device_name::NAME_BYTES,
    lost_numbers::{LostNumbers, MAX_LOST_RANGES},
};

/// The name of the file.
pub const FILE_NAME: &str = "state";
/// Size of the file in bytes.
pub const FILE_BYTES: u64 = 2 * SLOT_BYTES;

/// Size in bytes of a slot, and of a state in it.
pub(crate) const SLOT_BYTES: u64 = 4096;
pub(crate) const STATE_BYTES: usize = EXPIRED_OFFSET + 8 * CLASS_COUNT;
/// Offset of the device's name in a state.
const DEVICE_OFFSET: usize = 580;
/// Offset of the counts of expired records in a state.
const EXPIRED_OFFSET: usize = DEVICE_OFFSET + NAME_BYTES;

const MAGIC: [u8; 4] = *b"LSpA";
/// Size and first bytes of a state from before records could expire.
const AGELESS_STATE_BYTES: usize = EXPIRED_OFFSET;
const AGELESS_MAGIC: [u8; 4] = *b"LSpK";
/// Size and first bytes of a state from before delivered records were kept.
const UNKEPT_STATE_BYTES: usize = 260;
const UNKEPT_MAGIC: [u8; 4] = *b"LSpM";
/// Size and first bytes of a state that is not bound to a machine.
const UNBOUND_STATE_BYTES: usize = 220;
const UNBOUND_MAGIC: [u8; 4] = *b"LSpS";
/// Size of the id of a machine in bytes.
const MACHINE_BYTES: usize = 16;
const CLASS_COUNT: usize = Class::ALL.len();
/// The reasons of which the counts are among the first values of a class.
const FIRST_REASONS: [DropReason; 3] = [DropReason::Evicted, DropReason::Refused, DropReason::Damaged];

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
    /// The device that the name belongs to; `None` if it was unknown whenever the spool was opened.
    pub device: Option<DeviceName>,
    /// Number of log ends that a crash had torn.
    pub torn_ends: u64,
    /// The last record per class, in the order of [`Class::ALL`], that is known to have been on disk. Records
    /// up to this one that are missing are damaged, even if no later record exists.
    pub committed: [u64; CLASS_COUNT],
    /// Number of times that the spool took a new name, because it was copied or set back to an earlier state.
    pub times_renamed: u64,
    /// Whether the state was read from an earlier format, in which it did not know where each segment begins.
    pub is_earlier_format: bool,
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

    /// Returns the bytes of the state on disk.
    pub(crate) fn to_bytes(self) -> [u8; STATE_BYTES] {
        let mut bytes: Vec<u8> = Vec::with_capacity(STATE_BYTES);
        bytes.extend(MAGIC);
        bytes.extend([0_u8; 4]);
        let classes = self.classes.iter().flat_map(counts_of);
        bytes.extend([self.generation, self.torn_ends].into_iter().chain(classes).flat_map(u64::to_le_bytes));
        bytes.extend(self.spool_name.to_le_bytes());
        bytes.extend(self.machine.map_or([0; MACHINE_BYTES], MachineId::to_bytes));
        bytes.extend(self.committed.into_iter().flat_map(u64::to_le_bytes));
        let past = self.classes.iter().flat_map(past_values_of);
        bytes.extend([self.times_renamed].into_iter().chain(past).flat_map(u64::to_le_bytes));
        bytes.extend(self.device.map_or([0; NAME_BYTES], DeviceName::to_bytes));
        let expired = self.classes.iter().map(|counters| counters.dropped(DropReason::Expired));
        bytes.extend(expired.flat_map(u64::to_le_bytes));
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        array::from_fn(|index| bytes[index])
    }

    /// Parses a state in any format. Returns `None` if it is damaged.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = checked_state(bytes)?;
        let (unbound, rest) = bytes.split_at(UNBOUND_STATE_BYTES);
        let mut values = read_values(&unbound[8..]);
        let (generation, torn_ends) = (next_value(&mut values), next_value(&mut values));
        let mut classes = [(); CLASS_COUNT].map(|()| take_counts(&mut values));
        let spool_name = u32::from_le_bytes(*unbound.last_chunk()?);
        // The values that an earlier format does not have are 0.
        let machine = rest.first_chunk::<MACHINE_BYTES>().copied().and_then(MachineId::from_bytes);
        let mut values = read_values(rest.get(MACHINE_BYTES..).unwrap_or_default());
        let committed = [(); CLASS_COUNT].map(|()| next_value(&mut values));
        let times_renamed = next_value(&mut values);
        let device = bytes.get(DEVICE_OFFSET..).and_then(<[u8]>::first_chunk::<NAME_BYTES>).copied();
        let device = device.and_then(DeviceName::from_bytes);
        let mut expired = read_values(bytes.get(EXPIRED_OFFSET..).unwrap_or_default());
        for counters in &mut classes {
            take_past_values(counters, &mut values);
            counters.count_dropped(DropReason::Expired, next_value(&mut expired));
            if bytes.len() <= UNKEPT_STATE_BYTES {
                counters.past.evicted_to = counters.cursor;
            }
        }
        let is_earlier_format = bytes.len() < STATE_BYTES;
        Some(Self {
            generation,
            spool_name,
            machine,
            device,
            torn_ends,
            committed,
            times_renamed,
            is_earlier_format,
            classes,
        })
    }
}

/// Returns the bytes of a state in any format, without those behind it; `None` if they are damaged.
fn checked_state(bytes: &[u8]) -> Option<&[u8]> {
    let len = match *bytes.first_chunk::<4>()? {
        MAGIC => STATE_BYTES,
        AGELESS_MAGIC => AGELESS_STATE_BYTES,
        UNKEPT_MAGIC => UNKEPT_STATE_BYTES,
        UNBOUND_MAGIC => UNBOUND_STATE_BYTES,
        _ => return None,
    };
    let bytes = bytes.get(..len)?;
    (bytes[4..8] == crc32c::crc32c(&bytes[8..]).to_le_bytes()).then_some(bytes)
}

/// Returns the first values of a class in their order on disk.
fn counts_of(counters: &Counters) -> impl Iterator<Item = u64> + use<> {
    let Counters { cursor, delivered, highest_sent, doubt_range, .. } = *counters;
    let dropped = FIRST_REASONS.map(|reason| counters.dropped(reason));
    [cursor, delivered].into_iter().chain(dropped).chain([highest_sent]).chain(doubt_range)
}

/// Takes the first values of a class in their order on disk.
fn take_counts(values: &mut impl Iterator<Item = u64>) -> Counters {
    let mut counters =
        Counters { cursor: next_value(values), delivered: next_value(values), ..Counters::default() };
    for reason in FIRST_REASONS {
        counters.count_dropped(reason, next_value(values));
    }
    counters.highest_sent = next_value(values);
    counters.doubt_range = [(); 2].map(|()| next_value(values));
    counters
}

/// Returns the last values of a class in their order on disk.
fn past_values_of(counters: &Counters) -> impl Iterator<Item = u64> + use<> {
    let Counters { acknowledged, lost, past, .. } = *counters;
    let PastRecords { evicted_to, reopened_to, reopened_damaged, lost_numbers } = past;
    let first_values = [acknowledged, lost, evicted_to, reopened_to, reopened_damaged];
    first_values.into_iter().chain(lost_numbers.bounds().into_iter().flatten())
}

/// Takes the last values of a class in their order on disk; missing values are 0.
fn take_past_values(counters: &mut Counters, values: &mut impl Iterator<Item = u64>) {
    counters.acknowledged = next_value(values);
    counters.lost = next_value(values);
    counters.past = PastRecords {
        evicted_to: next_value(values),
        reopened_to: next_value(values),
        reopened_damaged: next_value(values),
        lost_numbers: LostNumbers::from_bounds(
            [(); MAX_LOST_RANGES].map(|()| [next_value(values), next_value(values)]),
        ),
    };
}

/// Returns the numbers that a sequence of bytes consists of, without an incomplete one at its end.
fn read_values(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

fn next_value(values: &mut impl Iterator<Item = u64>) -> u64 {
    values.next().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a state in which every value is different.
    pub(crate) fn state() -> State {
        let counters = |base: u64, past: u64, expired: u64| Counters {
            cursor: base,
            delivered: base + 1,
            dropped: [base + 2, base + 3, base + 4, expired],
            highest_sent: base + 5,
            doubt_range: [base + 6, base + 7],
            acknowledged: past,
            lost: past + 1,
            past: PastRecords {
                evicted_to: past + 2,
                reopened_to: past + 3,
                reopened_damaged: past + 4,
                lost_numbers: LostNumbers::from_bounds(array::from_fn(|index| {
                    let first = past + 5 + 2 * index as u64;
                    [first, first + 1]
                })),
            },
        };
        State {
            generation: 1,
            spool_name: 0x1234_5678,
            machine: machine(0xa0),
            device: Some(device("gate-7")),
            torn_ends: 2,
            committed: [27, 28, 29],
            times_renamed: 30,
            is_earlier_format: false,
            classes: [counters(3, 31, 70), counters(11, 44, 71), counters(19, 57, 72)],
        }
    }

    /// Returns the state as an earlier format stores it, in this many bytes.
    fn earlier_bytes(magic: [u8; 4], len: usize) -> Vec<u8> {
        let mut bytes = state().to_bytes()[..len].to_vec();
        bytes[..4].copy_from_slice(&magic);
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Returns the state without the values that earlier formats do not have.
    fn earlier_state() -> State {
        let classes = state().classes.map(|counters| {
            let past = PastRecords { evicted_to: counters.cursor, ..PastRecords::default() };
            Counters { acknowledged: 0, lost: 0, past, ..without_expired(counters) }
        });
        State { device: None, times_renamed: 0, is_earlier_format: true, classes, ..state() }
    }

    fn without_expired(counters: Counters) -> Counters {
        let [evicted, refused, damaged, _] = counters.dropped;
        Counters { dropped: [evicted, refused, damaged, 0], ..counters }
    }

    pub(crate) fn machine(first: u8) -> Option<MachineId> {
        MachineId::from_bytes(array::from_fn(|index| first + index as u8))
    }

    pub(crate) fn device(name: &str) -> DeviceName {
        DeviceName::parse(name).unwrap()
    }

    #[test]
    fn the_bytes_match_the_documented_format() {
        let bytes = state().to_bytes();
        assert_eq!((&bytes[..4], bytes.len()), (&b"LSpA"[..], 732));
        assert_eq!(read_values(&bytes[8..216]).collect::<Vec<_>>(), (1..=26).collect::<Vec<_>>());
        assert_eq!(bytes[216..220], [0x78, 0x56, 0x34, 0x12]);
        assert_eq!(bytes[220..236].to_vec(), (0xa0..=0xaf).collect::<Vec<u8>>());
        assert_eq!(read_values(&bytes[236..580]).collect::<Vec<_>>(), (27..=69).collect::<Vec<_>>());
        assert!(bytes[580..].starts_with(b"gate-7\0") && bytes[587..708].iter().all(|&byte| byte == 0));
        assert_eq!(read_values(&bytes[708..]).collect::<Vec<_>>(), [70, 71, 72]);
        assert_eq!(State::parse(&bytes), Some(state()));
    }

    #[test]
    fn a_state_from_before_records_could_expire_is_read() {
        let bytes = earlier_bytes(AGELESS_MAGIC, AGELESS_STATE_BYTES);
        let classes = state().classes.map(without_expired);
        assert_eq!(State::parse(&bytes), Some(State { is_earlier_format: true, classes, ..state() }));
    }

    #[test]
    fn a_state_from_before_delivered_records_were_kept_is_read() {
        let bytes = earlier_bytes(UNKEPT_MAGIC, UNKEPT_STATE_BYTES);
        assert_eq!(State::parse(&bytes), Some(earlier_state()));
    }

    #[test]
    fn a_state_that_is_not_bound_to_a_machine_is_read() {
        let bytes = earlier_bytes(UNBOUND_MAGIC, UNBOUND_STATE_BYTES);
        let expected = State { machine: None, committed: [0; 3], ..earlier_state() };
        assert_eq!(State::parse(&bytes), Some(expected));
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
