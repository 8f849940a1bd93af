//! A disk in memory that tracks which bytes are durable and which are only in the system's cache, and can
//! lose the difference.

mod other_programs;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::PathBuf,
    rc::Rc,
};

use proptest::test_runner::TestRng;
use rand::RngExt as _;

use super::{
    broken_promise::BrokenPromise,
    checksums::forge_checksums,
    inode::{Change, Inode, write_bytes},
};
use crate::{File, Storage, state};

/// The simulated disk. All clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryDisk(Rc<RefCell<DiskState>>);

/// The faults of a simulated disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    /// The operation at which the power fails.
    pub(super) crash_at: Option<u64>,
    /// The first sync of a file at or after this operation fails, and the bytes that it was to sync may be
    /// lost.
    pub(super) sync_fails_at: Option<u64>,
    /// Capacity of the disk in bytes; a file beyond it cannot be created. `None` is unlimited.
    pub(super) capacity_bytes: Option<u64>,
    /// A promise that the disk does not keep.
    pub(super) broken_promise: Option<BrokenPromise>,
}

#[derive(Debug, Default)]
struct DiskState {
    inodes: Vec<Inode>,
    /// The folder as the system shows it.
    names: BTreeMap<String, usize>,
    /// The folder as it is on disk, followed by the changes since then.
    durable_names: BTreeMap<String, usize>,
    name_changes: Vec<(String, Option<usize>)>,
    faults: Faults,
    operations: u64,
    has_crashed: bool,
    /// Whether a file is locked; the spool locks one file only.
    is_locked: bool,
    /// Maximum size of all files at any time, in bytes, without those of other programs.
    peak_bytes: u64,
    /// The files that another program has created.
    foreign_inodes: BTreeSet<usize>,
    /// State writes that are delayed until a removal, for [`BrokenPromise::RemovedBeforeState`].
    delayed_state_writes: Vec<(usize, u64, Vec<u8>)>,
}

/// A file on a [`MemoryDisk`] disk.
#[derive(Debug)]
pub(super) struct MemoryFile {
    disk: MemoryDisk,
    inode: usize,
    name: String,
    /// Whether the lock ends when this handle is dropped.
    holds_lock: bool,
}

impl MemoryDisk {
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
        self.0.borrow().has_crashed
    }

    /// Returns the maximum size of all files at any time, in bytes.
    pub(super) fn peak(&self) -> u64 {
        self.0.borrow().peak_bytes
    }

    /// Returns the names and sizes of all files, without those of other programs.
    pub(super) fn own_files(&self) -> Vec<(String, usize)> {
        let disk = self.0.borrow();
        let own = disk.names.iter().filter(|(_, inode)| !disk.foreign_inodes.contains(inode));
        own.map(|(name, &inode)| (name.clone(), disk.inodes[inode].visible.len())).collect()
    }

    /// Returns the disk after a power failure, with any part of the unsynced changes.
    pub(super) fn after_crash(&self, rng: &mut TestRng) -> Self {
        let disk = self.0.borrow();
        let mut names = disk.durable_names.clone();
        for (name, inode) in &disk.name_changes {
            if rng.random() {
                set_name(&mut names, name, *inode);
            }
        }
        let inodes: Vec<Inode> = disk.inodes.iter().map(|inode| inode.after_crash(rng)).collect();
        let crashed = DiskState {
            inodes,
            names: names.clone(),
            durable_names: names,
            faults: Faults { broken_promise: disk.faults.broken_promise, ..Faults::default() },
            foreign_inodes: disk.foreign_inodes.clone(),
            ..DiskState::default()
        };
        Self(Rc::new(RefCell::new(crashed)))
    }

    /// Copies the disk as the system shows it; in the copy everything is durable.
    pub(super) fn durable_copy(&self) -> Self {
        let disk = self.0.borrow();
        let copy = |inode: &Inode| Inode {
            visible: inode.visible.clone(),
            durable: inode.visible.clone(),
            ..Inode::default()
        };
        let (names, faults) =
            (disk.names.clone(), Faults { broken_promise: disk.faults.broken_promise, ..Faults::default() });
        let inodes = disk.inodes.iter().map(copy).collect();
        let (durable_names, foreign_inodes) = (names.clone(), disk.foreign_inodes.clone());
        let copy = DiskState { inodes, names, durable_names, faults, foreign_inodes, ..DiskState::default() };
        Self(Rc::new(RefCell::new(copy)))
    }

    /// Replaces the contents by those of an earlier copy, as a restored image does. No file may be open.
    pub(super) fn set_back(&self, copy: &Self) {
        let copy = copy.0.borrow();
        let mut disk = self.0.borrow_mut();
        disk.inodes = copy.inodes.clone();
        disk.foreign_inodes = copy.foreign_inodes.clone();
        (disk.names, disk.durable_names) = (copy.names.clone(), copy.names.clone());
        disk.name_changes.clear();
        disk.delayed_state_writes.clear();
    }

    /// Counts an operation. Returns an error if the power fails at it or has failed before.
    fn count_operation(&self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.operations += 1;
        disk.has_crashed |= disk.faults.crash_at == Some(disk.operations);
        if disk.has_crashed { Err(power_failure()) } else { Ok(()) }
    }

    fn file(&self, inode: usize, name: &str) -> MemoryFile {
        MemoryFile { disk: self.clone(), inode, name: name.to_owned(), holds_lock: false }
    }

    fn breaks_promise(&self, control: BrokenPromise) -> bool {
        self.0.borrow().faults.broken_promise == Some(control)
    }

    fn update_peak(&self) {
        let mut disk = self.0.borrow_mut();
        disk.peak_bytes = disk.peak_bytes.max(disk.bytes());
    }
}

impl DiskState {
    /// Returns the size of all files in bytes, without those of other programs.
    fn bytes(&self) -> u64 {
        let own = self.names.values().filter(|inode| !self.foreign_inodes.contains(inode));
        own.map(|&inode| self.inodes[inode].visible.len() as u64).sum()
    }

    /// Adds a file of `len` zero bytes, and returns its inode.
    fn add_file(&mut self, name: &str, len: u64) -> usize {
        let inode = self.inodes.len();
        let unsynced = vec![Change::Length(len)];
        self.inodes.push(Inode { visible: vec![0; len as usize], unsynced, ..Inode::default() });
        self.names.insert(name.to_owned(), inode);
        self.name_changes.push((name.to_owned(), Some(inode)));
        inode
    }
}

impl Storage for MemoryDisk {
    type File = MemoryFile;

    fn names(&self) -> io::Result<Vec<String>> {
        self.count_operation()?;
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, len: u64) -> io::Result<MemoryFile> {
        self.count_operation()?;
        let mut disk = self.0.borrow_mut();
        if disk.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if disk.faults.capacity_bytes.is_some_and(|capacity| disk.bytes() + len > capacity) {
            return Err(ErrorKind::StorageFull.into());
        }
        let inode = disk.add_file(name, len);
        drop(disk);
        self.update_peak();
        Ok(self.file(inode, name))
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        self.count_operation()?;
        let inode = *self.0.borrow().names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(self.file(inode, name))
    }

    fn lock(&self, name: &str) -> io::Result<MemoryFile> {
        self.count_operation()?;
        let excludes_others = !self.breaks_promise(BrokenPromise::LockNotTaken);
        let mut disk = self.0.borrow_mut();
        if disk.is_locked && excludes_others {
            return Err(ErrorKind::WouldBlock.into());
        }
        disk.is_locked = true;
        let found = disk.names.get(name).copied();
        let inode = found.unwrap_or_else(|| disk.add_file(name, 0));
        let mut file = self.file(inode, name);
        file.holds_lock = true;
        Ok(file)
    }

    fn is_current(&self, name: &str, file: &MemoryFile) -> io::Result<bool> {
        let disk = self.0.borrow();
        if disk.has_crashed {
            return Err(power_failure());
        }
        let is_hidden = disk.faults.broken_promise == Some(BrokenPromise::RemovalsNotSeen);
        Ok(is_hidden || disk.names.get(name) == Some(&file.inode))
    }

    fn folder(&self) -> PathBuf {
        "memory".into()
    }

    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }

    fn rename(&self, name: &str, new_name: &str) -> io::Result<()> {
        self.count_operation()?;
        let mut disk = self.0.borrow_mut();
        let inode = disk.names.remove(name).ok_or(ErrorKind::NotFound)?;
        disk.names.insert(new_name.to_owned(), inode);
        disk.name_changes.extend([(name.to_owned(), None), (new_name.to_owned(), Some(inode))]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.count_operation()?;
        if self.breaks_promise(BrokenPromise::FilesStay) {
            return Ok(());
        }
        let mut disk = self.0.borrow_mut();
        disk.names.remove(name).ok_or(ErrorKind::NotFound)?;
        disk.name_changes.push((name.to_owned(), None));
        for (inode, offset, bytes) in std::mem::take(&mut disk.delayed_state_writes) {
            write_bytes(&mut disk.inodes[inode].visible, offset as usize, &bytes);
            write_bytes(&mut disk.inodes[inode].durable, offset as usize, &bytes);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.count_operation()?;
        if self.breaks_promise(BrokenPromise::FolderNotSynced) {
            return Ok(());
        }
        let mut disk = self.0.borrow_mut();
        disk.durable_names = disk.names.clone();
        disk.name_changes.clear();
        Ok(())
    }
}

impl MemoryFile {
    fn is_state(&self) -> bool {
        self.name == state::FILE_NAME
    }

    fn contains_at(&self, offset: u64, bytes: &[u8]) -> bool {
        let disk = self.disk.0.borrow();
        disk.inodes[self.inode]
            .visible
            .get(offset as usize..)
            .is_some_and(|content| content.starts_with(bytes))
    }

    fn apply_change(&self, change: Change) {
        let mut disk = self.disk.0.borrow_mut();
        let inode = &mut disk.inodes[self.inode];
        change.apply_to(&mut inode.visible);
        inode.unsynced.push(change);
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if self.holds_lock {
            self.disk.0.borrow_mut().is_locked = false;
        }
    }
}

impl File for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        self.disk.count_operation()?;
        Ok(self.disk.0.borrow().inodes[self.inode].visible.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.count_operation()?;
        let disk = self.disk.0.borrow();
        let bytes = disk.inodes[self.inode].visible.get(offset as usize..).unwrap_or_default();
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        drop(disk);
        if self.disk.breaks_promise(BrokenPromise::ChecksumsNotRead) && !self.is_state() {
            forge_checksums(&self.disk.0.borrow().inodes[self.inode].visible, offset, &mut buffer[..len]);
        }
        Ok(len)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let position =
            if self.is_state() && self.disk.breaks_promise(BrokenPromise::OneSlot) { 0 } else { offset };
        let written_len = if !self.is_state() && self.disk.breaks_promise(BrokenPromise::ShortWrites) {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        if self.is_state() && self.disk.breaks_promise(BrokenPromise::StateNotWritten) && position > 0 {
            return self.disk.count_operation();
        }
        if self.is_state() && self.disk.breaks_promise(BrokenPromise::RemovedBeforeState) {
            self.disk.count_operation()?;
            self.disk.0.borrow_mut().delayed_state_writes.push((self.inode, position, bytes.to_vec()));
            return Ok(());
        }
        let result = self.disk.count_operation();
        if self.disk.breaks_promise(BrokenPromise::SameBytesNotWritten) && self.contains_at(position, bytes) {
            return result;
        }
        // Some of the bytes may reach the disk even if the power fails during the write.
        self.apply_change(Change::Write(position, bytes[..written_len].to_vec()));
        self.disk.update_peak();
        result
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.count_operation()?;
        if !self.disk.breaks_promise(BrokenPromise::NotCutOff) {
            self.apply_change(Change::Length(len));
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.count_operation()?;
        let promise =
            if self.is_state() { BrokenPromise::StateNotSynced } else { BrokenPromise::SegmentsNotSynced };
        if self.disk.breaks_promise(promise) {
            return Ok(());
        }
        let mut disk = self.disk.0.borrow_mut();
        let operations = disk.operations;
        let fails = disk.faults.sync_fails_at.take_if(|first_failure| operations >= *first_failure).is_some();
        let inode = &mut disk.inodes[self.inode];
        if !fails {
            inode.make_durable();
            return Ok(());
        }
        let lost = std::mem::take(&mut inode.unsynced);
        inode.lost.extend(lost);
        drop(disk);
        if self.disk.breaks_promise(BrokenPromise::FailuresHidden) {
            Ok(())
        } else {
            Err(io::Error::other("the disk has failed"))
        }
    }
}

fn power_failure() -> io::Error {
    io::Error::other("the power has failed")
}

fn set_name(names: &mut BTreeMap<String, usize>, name: &str, inode: Option<usize>) {
    match inode {
        Some(inode) => drop(names.insert(name.to_owned(), inode)),
        None => drop(names.remove(name)),
    }
}
