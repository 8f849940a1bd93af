//! The files of an open SQLite database, and whether their paths still name them.
//!
//! SQLite continues to read and write the files that it has opened, even after another program has moved, deleted
//! or replaced them. Commits succeed then, but the next start of the server does not find them. Files are compared
//! by device and inode. They are only looked up, never opened: closing a file releases all locks that the process
//! has on it, including those of SQLite.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The paths of a database's files, and the files that they named when the database was opened.
#[derive(Debug)]
pub(crate) struct DatabaseFiles(Vec<(PathBuf, FileId)>);

/// The identity of a file. It is not reused as long as the file is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl DatabaseFiles {
    /// Records the files of an open database: the database itself and its write-ahead log.
    ///
    /// # Errors
    /// Returns the error of the system if the database has no file.
    pub(crate) fn record(path: &Path) -> io::Result<Self> {
        // SQLite resolves links before it adds the suffix.
        let mut log = fs::canonicalize(path)?.into_os_string();
        log.push("-wal");
        let log = PathBuf::from(log);
        let database = (path.to_owned(), FileId::read(path)?);
        // A file system without shared memory does not have a log.
        let log = FileId::read(&log).ok().map(|id| (log, id));
        Ok(Self([database].into_iter().chain(log).collect()))
    }

    /// Returns which path names another file or none, or `None` if all of them name the recorded files.
    pub(crate) fn find_change(&self) -> Option<String> {
        self.0.iter().find_map(|(path, recorded)| match FileId::read(path) {
            Ok(found) if found == *recorded => None,
            Ok(_) => Some(format!("{} is another file than the open one", path.display())),
            Err(error) => Some(format!("{}: {error}", path.display())),
        })
    }
}

impl FileId {
    fn read(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}
