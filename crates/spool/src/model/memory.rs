//! A disk in memory that tracks which bytes are durable and which are only in the system's cache, and can
//! lose the difference.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, ErrorKind},
    rc::Rc,
};

use proptest::test_runner::TestRng;
use rand::RngExt as _;

use super::controls::Control;
use crate::{File, Storage, state};

/// Sector size in bytes. A crash keeps or loses each sector separately.
const SECTOR: usize = 512;

/// The simulated disk. All clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Rc<RefCell<Disk>>);

/// The faults of a simulated disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    /// The operation at which the power fails.
    pub(super) crash_at: Option<u64>,
    /// The first sync of a file at or after this operation fails, and the bytes that it was to sync may be
    /// lost.
    pub(super) sync_fails_at: Option<u64>,
    /// Capacity of the disk in bytes; a file beyond it cannot be created. `None` is unlimited.
    pub(super) room: Option<u64>,
    /// A promise that the disk does not keep.
    pub(super) control: Option<Control>,
}

#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    /// The folder as the system shows it.
    names: BTreeMap<String, usize>,
    /// The folder as it is on disk, followed by the changes since then.
    durable_names: BTreeMap<String, usize>,
    renamed: Vec<(String, Option<usize>)>,
    faults: Faults,
    operations: u64,
    crashed: bool,
    /// Maximum size of all files at any time, in bytes.
    peak: u64,
    /// State writes that are delayed until a removal, for [`Control::RemovedBeforeState`].
    late: Vec<(usize, u64, Vec<u8>)>,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Changes that a failed sync did not make durable; no later sync does.
    forgotten: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

/// A file on a [`Memory`] disk.
#[derive(Debug)]
pub(super) struct MemoryFile {
    disk: Memory,
    inode: usize,
    name: String,
}

impl Memory {
    /// Sets the faults and resets the operation counter.
    pub(super) fn set_faults(&self, faults: Faults) {
        let mut disk = self.0.borrow_mut();
        disk.faults = faults;
        disk.operations = 0;
    }

    /// Returns the number of operations since the faults were set.
    pub(super) fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    /// Returns whether the power has failed.
    pub(super) fn has_crashed(&self) -> bool {
        self.0.borrow().crashed
    }

    /// Returns the maximum size of all files at any time, in bytes.
    pub(super) fn peak(&self) -> u64 {
        self.0.borrow().peak
    }

    /// Returns the disk after a power failure, with any part of the unsynced changes.
    pub(super) fn after_crash(&self, rng: &mut TestRng) -> Self {
        let disk = self.0.borrow();
        let mut names = disk.durable_names.clone();
        for (name, inode) in &disk.renamed {
            if rng.random() {
                put(&mut names, name, *inode);
            }
        }
        let inodes: Vec<Inode> = disk.inodes.iter().map(|inode| inode.after_crash(rng)).collect();
        let after = Disk {
            inodes,
            names: names.clone(),
            durable_names: names,
            faults: Faults { control: disk.faults.control, ..Faults::default() },
            ..Disk::default()
        };
        Self(Rc::new(RefCell::new(after)))
    }

    /// Copies the disk as the system shows it; in the copy everything is durable.
    pub(super) fn copy(&self) -> Self {
        let disk = self.0.borrow();
        let copy =
            |inode: &Inode| Inode { now: inode.now.clone(), durable: inode.now.clone(), ..Inode::default() };
        let (names, faults) =
            (disk.names.clone(), Faults { control: disk.faults.control, ..Faults::default() });
        let inodes = disk.inodes.iter().map(copy).collect();
        let copy = Disk { inodes, durable_names: names.clone(), names, faults, ..Disk::default() };
        Self(Rc::new(RefCell::new(copy)))
    }

    /// Flips random bits in files other than the state.
    pub(super) fn flip(&self, bits: usize, rng: &mut TestRng) {
        let mut disk = self.0.borrow_mut();
        let logs = disk.names.iter().filter(|(name, _)| name.as_str() != state::NAME);
        let logs: Vec<usize> = logs.map(|(_, &inode)| inode).collect();
        for _ in 0..bits {
            let Some(&log) = logs.get(rng.random_range(0..logs.len().max(1))) else { return };
            let inode = &mut disk.inodes[log];
            if !inode.now.is_empty() {
                let at = rng.random_range(0..inode.now.len());
                inode.now[at] ^= 1 << rng.random_range(0..8);
                inode.durable.clone_from(&inode.now);
            }
        }
    }

    /// Counts an operation. Returns an error if the power fails at it or has failed before.
    fn operate(&self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.operations += 1;
        disk.crashed |= disk.faults.crash_at == Some(disk.operations);
        if disk.crashed { Err(io::Error::other("the power has failed")) } else { Ok(()) }
    }

    fn is(&self, control: Control) -> bool {
        self.0.borrow().faults.control == Some(control)
    }

    fn measure(&self) {
        let mut disk = self.0.borrow_mut();
        disk.peak = disk.peak.max(disk.bytes());
    }
}

impl Disk {
    /// Returns the size of all files in bytes.
    fn bytes(&self) -> u64 {
        self.names.values().map(|&inode| self.inodes[inode].now.len() as u64).sum()
    }
}

impl Inode {
    fn after_crash(&self, rng: &mut TestRng) -> Self {
        let mut durable = self.durable.clone();
        for change in self.forgotten.iter().chain(&self.unsynced) {
            match change {
                Change::Length(len) if rng.random() => durable.resize(*len as usize, 0),
                Change::Length(_) => {}
                Change::Write(at, bytes) => {
                    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                        // Occasionally only part of a sector is written.
                        let kept = match rng.random_range(0..16) {
                            0..8 => sector.len(),
                            8 => rng.random_range(0..sector.len()),
                            _ => continue,
                        };
                        write(&mut durable, *at as usize + number * SECTOR, &sector[..kept]);
                    }
                }
            }
        }
        Self { now: durable.clone(), durable, ..Self::default() }
    }

    /// Makes the unsynced changes durable.
    fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply(&mut self.durable);
            // An overwritten change does not reappear.
            self.forgotten.retain(|forgotten| !forgotten.overlaps(&change));
        }
    }
}

impl Change {
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Write(a, of_a), Self::Write(b, of_b)) => {
                *a < b + of_b.len() as u64 && *b < a + of_a.len() as u64
            }
            _ => false,
        }
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, new) => write(bytes, *at as usize, new),
            Self::Length(len) => bytes.resize(*len as usize, 0),
        }
    }
}

impl Storage for Memory {
    type File = MemoryFile;

    fn names(&self) -> io::Result<Vec<String>> {
        self.operate()?;
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, len: u64) -> io::Result<MemoryFile> {
        self.operate()?;
        let mut disk = self.0.borrow_mut();
        if disk.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if disk.faults.room.is_some_and(|room| disk.bytes() + len > room) {
            return Err(ErrorKind::StorageFull.into());
        }
        let inode = disk.inodes.len();
        let unsynced = vec![Change::Length(len)];
        disk.inodes.push(Inode { now: vec![0; len as usize], unsynced, ..Inode::default() });
        disk.names.insert(name.to_owned(), inode);
        disk.renamed.push((name.to_owned(), Some(inode)));
        drop(disk);
        self.measure();
        Ok(MemoryFile { disk: self.clone(), inode, name: name.to_owned() })
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        self.operate()?;
        let inode = *self.0.borrow().names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(MemoryFile { disk: self.clone(), inode, name: name.to_owned() })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate()?;
        if self.is(Control::FilesStay) {
            return Ok(());
        }
        let mut disk = self.0.borrow_mut();
        disk.names.remove(name).ok_or(ErrorKind::NotFound)?;
        disk.renamed.push((name.to_owned(), None));
        for (inode, at, bytes) in std::mem::take(&mut disk.late) {
            write(&mut disk.inodes[inode].now, at as usize, &bytes);
            write(&mut disk.inodes[inode].durable, at as usize, &bytes);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.operate()?;
        if self.is(Control::FolderNotSynced) {
            return Ok(());
        }
        let mut disk = self.0.borrow_mut();
        disk.durable_names = disk.names.clone();
        disk.renamed.clear();
        Ok(())
    }
}

impl MemoryFile {
    fn is_state(&self) -> bool {
        self.name == state::NAME
    }

    fn has(&self, at: u64, bytes: &[u8]) -> bool {
        let disk = self.disk.0.borrow();
        disk.inodes[self.inode].now.get(at as usize..).is_some_and(|now| now.starts_with(bytes))
    }

    fn change(&self, change: Change) {
        let mut disk = self.disk.0.borrow_mut();
        let inode = &mut disk.inodes[self.inode];
        change.apply(&mut inode.now);
        inode.unsynced.push(change);
    }
}

impl File for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        self.disk.operate()?;
        Ok(self.disk.0.borrow().inodes[self.inode].now.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.operate()?;
        let disk = self.disk.0.borrow();
        let bytes = disk.inodes[self.inode].now.get(offset as usize..).unwrap_or_default();
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        drop(disk);
        if self.disk.is(Control::ChecksumsNotRead) && !self.is_state() {
            super::controls::forge(&self.disk.0.borrow().inodes[self.inode].now, offset, &mut buffer[..len]);
        }
        Ok(len)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = if self.is_state() && self.disk.is(Control::OneSlot) { 0 } else { offset };
        let kept = if !self.is_state() && self.disk.is(Control::ShortWrites) {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        if self.is_state() && self.disk.is(Control::StateNotWritten) && at > 0 {
            return self.disk.operate();
        }
        if self.is_state() && self.disk.is(Control::RemovedBeforeState) {
            self.disk.operate()?;
            self.disk.0.borrow_mut().late.push((self.inode, at, bytes.to_vec()));
            return Ok(());
        }
        let operated = self.disk.operate();
        if self.disk.is(Control::SameBytesNotWritten) && self.has(at, bytes) {
            return operated;
        }
        // Some of the bytes may reach the disk even if the power fails during the write.
        self.change(Change::Write(at, bytes[..kept].to_vec()));
        self.disk.measure();
        operated
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.operate()?;
        if !self.disk.is(Control::NotCutOff) {
            self.change(Change::Length(len));
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.operate()?;
        let unkept = if self.is_state() { Control::StateNotSynced } else { Control::SegmentsNotSynced };
        if self.disk.is(unkept) {
            return Ok(());
        }
        let mut disk = self.disk.0.borrow_mut();
        let operations = disk.operations;
        let failed = disk.faults.sync_fails_at.take_if(|at| operations >= *at).is_some();
        let inode = &mut disk.inodes[self.inode];
        if !failed {
            inode.sync();
            return Ok(());
        }
        let lost = std::mem::take(&mut inode.unsynced);
        inode.forgotten.extend(lost);
        drop(disk);
        if self.disk.is(Control::FailuresHidden) {
            Ok(())
        } else {
            Err(io::Error::other("the disk has failed"))
        }
    }
}

fn put(names: &mut BTreeMap<String, usize>, name: &str, inode: Option<usize>) {
    match inode {
        Some(inode) => drop(names.insert(name.to_owned(), inode)),
        None => drop(names.remove(name)),
    }
}

fn write(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}
