//! Damage, kept for inspection: bytes in a segment where a block should be are copied into a file of their
//! own before the segment is removed.
//!
//! The file `damaged-CLASS-FIRST-OFFSET.bin` holds bytes of the segment `CLASS-FIRST.log` from `OFFSET` on;
//! the numbers are hexadecimal. These files count towards the budget and never use more than a small share of
//! it. The spool never reads or removes them; that is up to the operator. Damaged records are counted even if
//! their bytes do not fit.

use std::{io, ops::Range};

use lopside_delivery::Class;

use crate::{File, Storage};

/// The prefix of the file names.
const FILE_PREFIX: &str = "damaged-";
/// The files may use at most the budget divided by this number.
const BUDGET_DIVISOR: u64 = 64;

/// The files of damaged bytes.
#[derive(Debug)]
pub(crate) struct DamageFiles {
    names: Vec<String>,
    bytes: u64,
    max_bytes: u64,
}

impl DamageFiles {
    /// Finds the existing files of a spool with this budget, in bytes.
    pub(crate) fn open<S: Storage>(storage: &S, names: &[String], budget: u64) -> io::Result<Self> {
        let names: Vec<String> = names.iter().filter(|name| name.starts_with(FILE_PREFIX)).cloned().collect();
        let sizes = names.iter().map(|name| storage.open(name)?.size());
        let bytes = sizes.sum::<io::Result<u64>>()?;
        Ok(Self { names, bytes, max_bytes: budget / BUDGET_DIVISOR })
    }

    /// Returns the size of all files in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the number of bytes that further damage may use.
    pub(crate) fn unused_bytes(&self) -> u64 {
        self.max_bytes.saturating_sub(self.bytes)
    }

    /// Copies the bytes `damage` of a segment's file, as far as space allows: `free_bytes` limits the bytes of
    /// all these files together. A failure to write them does not affect anything else.
    pub(crate) fn copy_damage<S: Storage>(
        &mut self,
        storage: &S,
        (class, first): (Class, u64),
        file: &S::File,
        damage: Range<u64>,
        free_bytes: u64,
    ) {
        let name = format!("{FILE_PREFIX}{class}-{first:016x}-{:x}.bin", damage.start);
        let len = (damage.end - damage.start).min(free_bytes.min(self.max_bytes).saturating_sub(self.bytes));
        if len == 0 || self.names.contains(&name) {
            return;
        }
        // If writing fails, the partial file stays and counts as if it were whole.
        let _ = copy_bytes(storage, &name, file, damage.start, len);
        self.bytes += len;
        self.names.push(name);
    }
}

fn copy_bytes<S: Storage>(
    storage: &S,
    name: &str,
    source: &S::File,
    offset: u64,
    len: u64,
) -> io::Result<()> {
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let count = source.read_at(offset, &mut bytes)?;
    // The space of removed segments is free only after their removal is durable.
    storage.sync()?;
    let mut copy = storage.create(name, len)?;
    copy.write_at(0, &bytes[..count])?;
    copy.sync()?;
    storage.sync()
}
