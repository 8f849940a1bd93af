//! The storage interface of the spool: one folder and the files in it.
//!
//! The guarantees are those of POSIX and no more. Bytes that were written are on disk after [`File::sync`];
//! until then a crash may keep any part of them, down to pieces of a sector. A name is in the folder after
//! [`Storage::sync`]; until then a crash may undo the creation or the removal of a file.

use std::{io, path::PathBuf};

/// A folder of files.
pub trait Storage {
    /// A file in the folder.
    type File: File;

    /// Returns the names of all files.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Creates a file of `len` zero bytes and reserves the disk space for it.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system. The file may or may not exist afterwards.
    fn create(&self, name: &str, len: u64) -> io::Result<Self::File>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file, or creates an empty one, and locks it until the returned handle is dropped. The lock
    /// excludes all other callers, in this process and in others.
    ///
    /// # Errors
    /// Returns an error of the kind [`WouldBlock`](io::ErrorKind::WouldBlock) if the file is locked;
    /// otherwise the I/O error of the operating system.
    fn lock(&self, name: &str) -> io::Result<Self::File>;

    /// Returns whether a name refers to this open file. It does not if another program has removed the file
    /// or has put another one in its place.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    fn is_current(&self, name: &str, file: &Self::File) -> io::Result<bool>;

    /// Returns the path of the folder, for messages to people.
    fn folder(&self) -> PathBuf;

    /// Returns the path of a file, for messages to people.
    fn path(&self, name: &str) -> PathBuf;

    /// Gives a file another name, which no other file has.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    fn rename(&self, name: &str, new_name: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Syncs the folder, so that its file names are on disk.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub trait File {
    /// Returns the size of the file in bytes.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    fn size(&self) -> io::Result<u64>;

    /// Fills the buffer with the bytes from `offset` on, up to the end of the file. Returns the number of
    /// bytes read.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system. Some of the bytes may be written in that case.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Sets the length of the file.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Syncs the bytes and the length of the file to disk.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system. Bytes that were written since the last sync may then be
    /// lost, even if a later call succeeds.
    fn sync(&mut self) -> io::Result<()>;
}
