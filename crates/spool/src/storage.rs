//! What the spool needs of a disk: one folder, and files in it.
//!
//! Guarantees are those of POSIX and no more. Bytes that were written are on the disk after [`File::sync`]; until then
//! any part of them may be there after a crash, in pieces of a sector. A name is in the folder after
//! [`Storage::sync`]; until then a file that was made may be gone after a crash, and one that was removed may be back.

use std::io;

/// A folder.
pub trait Storage {
    /// A file of it.
    type File: File;

    /// The names of all files.
    ///
    /// # Errors
    /// What the system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes a file of so many zeros, for which the disk has room from then on.
    ///
    /// # Errors
    /// What the system says; there may be a file then, or none.
    fn create(&self, name: &str, len: u64) -> io::Result<Self::File>;

    /// Opens a file to be read and written.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Brings the names to the disk.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;
}

/// A file.
pub trait File {
    /// Its bytes.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;

    /// Fills the buffer from `offset` on, as far as the file goes; how far.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    /// What the system says; some of the bytes may be written then.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Brings bytes and length to the disk.
    ///
    /// # Errors
    /// What the system says. What was written since the last time may be lost then, also when a later call succeeds.
    fn sync(&mut self) -> io::Result<()>;
}
