//! The lock of a spool's folder.
//!
//! Recovery removes and truncates files, which would destroy the spool of a process that is writing to it.
//! Therefore nothing in the folder is read or changed before the file `lock` is locked. The operating system
//! ends the lock with its process, however the process ends.
//!
//! The file contains the number of the process that locked it last, in decimal digits, followed by spaces and
//! a newline. Only messages use it.

use std::{io, process};

use crate::{File, SpoolError, Storage};

/// The name of the file.
pub(crate) const FILE_NAME: &str = "lock";
/// Size of the file in bytes.
pub(crate) const FILE_BYTES: u64 = 16;

/// A storage whose lock this process holds.
#[derive(Debug)]
pub(crate) struct LockedFolder<S: Storage> {
    storage: S,
    /// The locked file; `None` once the lock is released.
    lock: Option<S::File>,
}

impl<S: Storage> LockedFolder<S> {
    /// Locks the folder.
    ///
    /// # Errors
    /// Returns [`SpoolError::InUse`] if it is locked, or [`SpoolError::Disk`].
    pub(crate) fn lock(storage: S) -> Result<Self, SpoolError> {
        match storage.lock(FILE_NAME) {
            Ok(mut file) => {
                // A full disk must not prevent the spool from being opened.
                let _ = file.write_at(0, format!("{:<15}\n", process::id()).as_bytes());
                Ok(Self { storage, lock: Some(file) })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let process = read_process(&storage);
                Err(SpoolError::InUse { lock: storage.path(FILE_NAME), process })
            }
            Err(error) => Err(SpoolError::disk_error("lock its folder", storage.folder())(error)),
        }
    }

    /// Returns the storage.
    pub(crate) fn storage(&self) -> &S {
        &self.storage
    }

    /// Releases the lock, so that the folder can be opened again.
    pub(crate) fn release(&mut self) {
        self.lock = None;
    }

    /// Checks that an open file and the lock are in the folder under their names. If another program has
    /// removed or replaced the file, then the bytes that were written to it are lost. If the lock was
    /// removed, then another process may be using the folder.
    pub(crate) fn check_file(&self, name: &str, file: &S::File) -> io::Result<()> {
        let lock = self.lock.iter().map(|lock| (FILE_NAME, lock));
        lock.chain([(name, file)]).try_for_each(|(name, file)| self.check_name(name, file))
    }

    fn check_name(&self, name: &str, file: &S::File) -> io::Result<()> {
        if self.storage.is_current(name, file)? {
            return Ok(());
        }
        let path = self.storage.path(name);
        Err(io::Error::other(format!(
            "another program has removed or replaced {}; no other program may change the folder while it is in use",
            path.display()
        )))
    }
}

/// Returns the number of the process that locked the folder last, or `None` if it cannot be read.
fn read_process<S: Storage>(storage: &S) -> Option<u32> {
    let mut bytes = [0; FILE_BYTES as usize];
    let count = storage.open(FILE_NAME).ok()?.read_at(0, &mut bytes).ok()?;
    std::str::from_utf8(bytes.get(..count)?).ok()?.trim().parse().ok()
}
