//! Cursors and counters, which outlive every segment.
//!
//! The file `state` has two slots, at 0 and at 4096. A new state goes to the slot that does not hold the last one, and is
//! then synced: whatever a crash tears, one slot is whole. Of two whole slots the one with the larger generation counts.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | `LSpS` |
//! | 4 | 4 | CRC-32C of what follows, 140 bytes |
//! | 8 | 8 | the generation, counting up from 1 |
//! | 16 | 8 | ends of logs that a crash had torn |
//! | 24 | 40 | of the class `low`: the last record that is done, records delivered, and records dropped: evicted, refused, damaged |
//! | 64 | 40 | of `normal` |
//! | 104 | 40 | of `high` |
//! | 144 | 4 | 0 |
//!
//! Numbers are little-endian, of 8 bytes each where nothing else is said.

use std::io;

use crate::{Class, File, Storage};

/// The file's name.
pub const NAME: &str = "state";
/// Its bytes.
pub const LEN: u64 = 2 * SLOT;

const SLOT: u64 = 4096;
const USED: usize = 148;
const MAGIC: [u8; 4] = *b"LSpS";
const CLASSES: usize = Class::ALL.len();

/// Why a record was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It had to make room for another.
    Evicted,
    /// There was no room for it.
    Refused,
    /// The disk has not kept it.
    Damaged,
}

impl Reason {
    /// All.
    pub const ALL: [Self; 3] = [Self::Evicted, Self::Refused, Self::Damaged];
}

/// What has become of a class's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// The last record that is done: it and all before it are delivered or dropped.
    pub done: u64,
    /// Records that were acknowledged.
    pub delivered: u64,
    /// Records that were dropped, in the order of [`Reason::ALL`].
    pub dropped: [u64; 3],
}

impl Counters {
    /// Records dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(crate) fn drop(&mut self, reason: Reason, records: u64) {
        self.dropped[reason as usize] += records;
    }
}

/// All cursors and counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// How often it was written.
    pub generation: u64,
    /// Ends of logs that a crash had torn.
    pub torn: u64,
    /// By class, in the order of [`Class::ALL`].
    pub classes: [Counters; CLASSES],
}

impl State {
    fn to_bytes(self) -> [u8; USED] {
        let counters = |class: Counters| [class.done, class.delivered].into_iter().chain(class.dropped);
        let classes = self.classes.into_iter().flat_map(counters);
        let mut bytes = [0; USED];
        for (number, value) in [self.generation, self.torn].into_iter().chain(classes).enumerate() {
            bytes[8 + 8 * number..][..8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[..4].copy_from_slice(&MAGIC);
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let checksum = crc32c::crc32c(bytes.get(8..USED)?);
        if bytes[..4] != MAGIC || bytes[4..8] != checksum.to_le_bytes() {
            return None;
        }
        let mut values = bytes[8..].as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut next = || values.next().unwrap_or_default();
        let (generation, torn) = (next(), next());
        let classes = [(); CLASSES].map(|()| Counters {
            done: next(),
            delivered: next(),
            dropped: [(); 3].map(|()| next()),
        });
        Some(Self { generation, torn, classes })
    }
}

/// The file.
#[derive(Debug)]
pub(crate) struct StateFile<F> {
    file: F,
}

impl<F: File> StateFile<F> {
    /// Opens or makes the file; with what it says, if it says anything.
    pub(crate) fn open<S: Storage<File = F>>(
        storage: &S,
        names: &[String],
    ) -> io::Result<(Self, Option<State>)> {
        if !names.iter().any(|name| name == NAME) {
            let file = storage.create(NAME, LEN)?;
            storage.sync()?;
            return Ok((Self { file }, None));
        }
        let file = storage.open(NAME)?;
        let slot = |at: u64| -> io::Result<Option<State>> {
            let mut bytes = [0; USED];
            let read = file.read_at(at, &mut bytes)?;
            Ok(State::parse(&bytes[..read]))
        };
        let found = [slot(0)?, slot(SLOT)?];
        let newest = found.into_iter().flatten().max_by_key(|state| state.generation);
        Ok((Self { file }, newest))
    }

    /// Writes a state where the last one is not, and brings it to the disk.
    pub(crate) fn write(&mut self, state: State) -> io::Result<()> {
        let slot = if state.generation.is_multiple_of(2) { 0 } else { SLOT };
        self.file.write_at(slot, &state.to_bytes())?;
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let counters = |at: u64| Counters { done: at, delivered: at + 1, dropped: [at + 2, at + 3, at + 4] };
        State { generation: 1, torn: 2, classes: [counters(3), counters(8), counters(13)] }
    }

    #[test]
    fn the_bytes_are_those_of_the_page() {
        let bytes = state().to_bytes();
        assert_eq!((&bytes[..4], bytes.len()), (&b"LSpS"[..], 148));
        let values: Vec<u64> =
            bytes[8..144].as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        assert_eq!(values, (1..=17).collect::<Vec<_>>());
        assert_eq!(State::parse(&bytes), Some(state()));
    }

    #[test]
    fn one_changed_bit_is_seen() {
        let whole = state().to_bytes();
        for at in 0..8 * USED {
            let mut bytes = whole;
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(State::parse(&bytes), None, "{at}");
        }
        assert_eq!(State::parse(&whole[..USED - 1]), None);
    }
}
