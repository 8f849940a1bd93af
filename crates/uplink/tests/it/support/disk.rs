//! An in-memory disk that fails on request, and loses all unsynced data in a power cut.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use lopside_spool::{File, Storage};
use tokio::sync::watch;

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The process is killed; the system still writes the data that it has received.
    Killed,
    /// All unsynced data is lost.
    PowerCut,
}

/// The disk as used by one process. Clones share their contents.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    files: Arc<Mutex<Files>>,
    /// The number of the process.
    process: u64,
    failures: watch::Sender<u64>,
}

#[derive(Debug, Clone, Default)]
struct Files {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// The number of the running process.
    process: u64,
    /// Whether the running process holds a lock.
    is_locked: bool,
    /// Numbers of the next writes and syncs that fail.
    failing: [u64; 2],
}

#[derive(Debug, Clone, Default)]
struct Inode {
    visible: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug)]
pub(crate) struct DiskFile {
    disk: Disk,
    inode: usize,
    /// Whether the lock ends when this handle is dropped.
    holds_lock: bool,
}

impl Default for Disk {
    fn default() -> Self {
        Self { files: Arc::default(), process: 0, failures: watch::Sender::new(0) }
    }
}

impl Disk {
    /// Lets the next `count` writes fail.
    pub(crate) fn fail_writes(&self, count: u64) {
        self.contents().failing[0] = count;
    }

    /// Lets the next `count` syncs of files fail and lose the unsynced data.
    pub(crate) fn fail_syncs(&self, count: u64) {
        self.contents().failing[1] = count;
    }

    /// Returns the number of failures, and notifies of each change.
    pub(crate) fn failures(&self) -> watch::Receiver<u64> {
        self.failures.subscribe()
    }

    /// Removes all files, as another program may do.
    pub(crate) fn remove_all(&self) {
        self.contents().names.clear();
    }

    /// Copies the disk after its process has ended, as a card is cloned.
    pub(crate) fn copy(&self) -> Self {
        let files = self.contents().clone();
        Self { process: files.process, files: Arc::new(Mutex::new(files)), failures: watch::Sender::new(0) }
    }

    /// Ends the process that uses the disk, and returns the disk for the next process.
    pub(crate) fn end(&self, end: End) -> Self {
        let mut files = self.contents();
        files.process += 1;
        (files.is_locked, files.failing) = (false, [0; 2]);
        if end == End::PowerCut {
            files.names = files.durable_names.clone();
            for inode in &mut files.inodes {
                inode.visible = inode.durable.clone();
                inode.unsynced.clear();
            }
        }
        Self { process: files.process, ..self.clone() }
    }

    fn contents(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap()
    }

    /// Returns the files, or an error if the process has ended.
    fn alive(&self) -> io::Result<MutexGuard<'_, Files>> {
        let files = self.contents();
        if files.process == self.process { Ok(files) } else { Err(io::Error::other("the process has ended")) }
    }

    fn file(&self, inode: usize) -> DiskFile {
        DiskFile { disk: self.clone(), inode, holds_lock: false }
    }

    fn failed(&self) -> io::Error {
        self.failures.send_modify(|failures| *failures += 1);
        io::Error::other("the disk has failed")
    }
}

impl Files {
    /// Adds a file of `len` zero bytes, and returns its inode.
    fn add(&mut self, name: &str, len: usize) -> usize {
        let inode = self.inodes.len();
        let zeros = vec![0; len];
        self.inodes.push(Inode { durable: zeros.clone(), visible: zeros, unsynced: Vec::new() });
        self.names.insert(name.to_owned(), inode);
        inode
    }

    /// Returns whether this write (`kind` 0) or sync (`kind` 1) fails.
    fn fails(&mut self, kind: usize) -> bool {
        let fails = self.failing[kind] > 0;
        self.failing[kind] -= u64::from(fails);
        fails
    }
}

impl Storage for Disk {
    type File = DiskFile;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.alive()?.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, len: u64) -> io::Result<DiskFile> {
        let mut files = self.alive()?;
        if files.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = files.add(name, len as usize);
        drop(files);
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<DiskFile> {
        let inode = *self.alive()?.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(self.file(inode))
    }

    fn lock(&self, name: &str) -> io::Result<DiskFile> {
        let mut files = self.alive()?;
        if std::mem::replace(&mut files.is_locked, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let found = files.names.get(name).copied();
        let inode = found.unwrap_or_else(|| files.add(name, 0));
        drop(files);
        let mut file = self.file(inode);
        file.holds_lock = true;
        Ok(file)
    }

    fn is_current(&self, name: &str, file: &DiskFile) -> io::Result<bool> {
        Ok(self.alive()?.names.get(name) == Some(&file.inode))
    }

    fn folder(&self) -> PathBuf {
        "memory".into()
    }

    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }

    fn rename(&self, name: &str, new_name: &str) -> io::Result<()> {
        let mut files = self.alive()?;
        let inode = files.names.remove(name).ok_or(ErrorKind::NotFound)?;
        files.names.insert(new_name.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.alive()?.names.remove(name).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut files = self.alive()?;
        files.durable_names = files.names.clone();
        Ok(())
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        // The end of a process has released its lock before.
        if self.holds_lock
            && let Ok(mut files) = self.disk.alive()
        {
            files.is_locked = false;
        }
    }
}

impl File for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.alive()?.inodes[self.inode].visible.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let files = self.disk.alive()?;
        let bytes = files.inodes[self.inode].visible.get(offset as usize..).unwrap_or_default();
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.disk.alive()?;
        let fails = files.fails(0);
        // A failing write still writes a part.
        let bytes = if fails { &bytes[..bytes.len() / 2] } else { bytes };
        files.inodes[self.inode].change(Change::Write(offset as usize, bytes.to_vec()));
        if fails { Err(self.disk.failed()) } else { Ok(()) }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.alive()?.inodes[self.inode].change(Change::Length(len as usize));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut files = self.disk.alive()?;
        let fails = files.fails(1);
        let Inode { durable, unsynced, .. } = &mut files.inodes[self.inode];
        for change in unsynced.drain(..).filter(|_| !fails) {
            change.apply(durable);
        }
        if fails { Err(self.disk.failed()) } else { Ok(()) }
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(len) => bytes.resize(*len, 0),
            Self::Write(offset, new_bytes) => {
                if bytes.len() < offset + new_bytes.len() {
                    bytes.resize(offset + new_bytes.len(), 0);
                }
                bytes[*offset..offset + new_bytes.len()].copy_from_slice(new_bytes);
            }
        }
    }
}
