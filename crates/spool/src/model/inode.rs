//! The bytes of a file in memory: those that the system shows, and those that are durable.

use proptest::test_runner::TestRng;
use rand::RngExt as _;

/// Sector size in bytes. A crash keeps or loses each sector separately.
const SECTOR_BYTES: usize = 512;

/// The bytes of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) visible: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<Change>,
    /// Changes that a failed sync did not make durable; no later sync does.
    pub(super) lost: Vec<Change>,
}

/// A change of a file's bytes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

impl Inode {
    /// Returns the file after a power failure, with any part of the unsynced changes.
    pub(super) fn after_crash(&self, rng: &mut TestRng) -> Self {
        let mut durable = self.durable.clone();
        for change in self.lost.iter().chain(&self.unsynced) {
            match change {
                Change::Length(len) if rng.random() => durable.resize(*len as usize, 0),
                Change::Length(_) => {}
                Change::Write(offset, bytes) => {
                    for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        // Occasionally only part of a sector is written.
                        let written = match rng.random_range(0..16) {
                            0..8 => sector.len(),
                            8 => rng.random_range(0..sector.len()),
                            _ => continue,
                        };
                        write_bytes(
                            &mut durable,
                            *offset as usize + number * SECTOR_BYTES,
                            &sector[..written],
                        );
                    }
                }
            }
        }
        Self { visible: durable.clone(), durable, ..Self::default() }
    }

    /// Makes the unsynced changes durable.
    pub(super) fn make_durable(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply_to(&mut self.durable);
            // An overwritten change does not reappear.
            self.lost.retain(|lost| !lost.overlaps(&change));
        }
    }
}

impl Change {
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Write(a, bytes_a), Self::Write(b, bytes_b)) => {
                *a < b + bytes_b.len() as u64 && *b < a + bytes_a.len() as u64
            }
            _ => false,
        }
    }

    pub(super) fn apply_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, new_bytes) => write_bytes(bytes, *offset as usize, new_bytes),
            Self::Length(len) => bytes.resize(*len as usize, 0),
        }
    }
}

/// Replaces bytes from `offset` on; the file grows if necessary.
pub(super) fn write_bytes(bytes: &mut Vec<u8>, offset: usize, new_bytes: &[u8]) {
    if bytes.len() < offset + new_bytes.len() {
        bytes.resize(offset + new_bytes.len(), 0);
    }
    bytes[offset..offset + new_bytes.len()].copy_from_slice(new_bytes);
}
