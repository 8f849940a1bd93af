//! Damage, kept for a look: what stands in a segment where a block should be is copied into a file of its own, before the
//! segment is removed.
//!
//! `damaged-CLASS-FIRST-OFFSET.bin` is of the segment `CLASS-FIRST.log`, from `OFFSET` on, numbers in hexadecimal. These
//! files count for the budget, never have more than a small share of it, and nothing reads or removes them: that is for
//! whoever looks. Of damage that finds no room the records are counted all the same.

use std::{io, ops::Range};

use crate::{Class, File, Storage};

/// What the files' names begin with.
const PREFIX: &str = "damaged-";
/// Their share of the budget.
const SHARE: u64 = 64;

/// The files.
#[derive(Debug)]
pub(crate) struct Aside {
    names: Vec<String>,
    bytes: u64,
    most: u64,
}

impl Aside {
    /// Those that are there, in a spool of this budget.
    pub(crate) fn open<S: Storage>(storage: &S, names: &[String], budget: u64) -> io::Result<Self> {
        let names: Vec<String> = names.iter().filter(|name| name.starts_with(PREFIX)).cloned().collect();
        let sizes = names.iter().map(|name| storage.open(name)?.size());
        let bytes = sizes.sum::<io::Result<u64>>()?;
        Ok(Self { names, bytes, most: budget / SHARE })
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Copies what is between in a segment's file, as much as there is room for: `room` is what all of these files may
    /// have. A disk that does not take it changes nothing else.
    pub(crate) fn keep<S: Storage>(
        &mut self,
        storage: &S,
        (class, first): (Class, u64),
        file: &S::File,
        damage: Range<u64>,
        room: u64,
    ) {
        let name = format!("{PREFIX}{class}-{first:016x}-{:x}.bin", damage.start);
        let len = (damage.end - damage.start).min(room.min(self.most).saturating_sub(self.bytes));
        if len == 0 || self.names.contains(&name) {
            return;
        }
        // Where the disk does not take it, what is there of the file stays, and counts as if it were whole.
        let _ = copy(storage, &name, file, damage.start, len);
        self.bytes += len;
        self.names.push(name);
    }
}

fn copy<S: Storage>(storage: &S, name: &str, from: &S::File, at: u64, len: u64) -> io::Result<()> {
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let read = from.read_at(at, &mut bytes)?;
    // Segments that were removed have made room once they cannot come back.
    storage.sync()?;
    let mut to = storage.create(name, len)?;
    to.write_at(0, &bytes[..read])?;
    to.sync()?;
    storage.sync()
}
