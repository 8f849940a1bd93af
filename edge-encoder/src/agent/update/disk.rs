//! File operations that leave complete files and folders, or none, after a crash; the lock of a folder.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use lopside_spool::{Disk, DiskFile, Storage as _};

use crate::{EdgeError, UpdateError, error::io_error};

/// Locks a file of a folder, which is created if it is missing, until the returned handle is dropped.
pub(super) fn lock(folder: &Path, name: &str) -> Result<DiskFile, EdgeError> {
    let path = folder.join(name);
    let locked = Disk::open(folder).and_then(|disk| disk.lock(name));
    locked.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => UpdateError::FolderInUse { lock: path.clone() }.into(),
        _ => io_error(&path)(error),
    })
}

/// Replaces a file atomically.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), EdgeError> {
    let temporary = path.with_added_extension("new");
    write_synced(&temporary, bytes).map_err(io_error(&temporary))?;
    rename(&temporary, path)
}

/// Renames a file or folder durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), EdgeError> {
    fs::rename(from, to).map_err(io_error(to))?;
    sync(to.parent().unwrap_or(to))
}

/// Syncs the entries of a folder to the disk.
pub(super) fn sync(folder: &Path) -> Result<(), EdgeError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(folder))
}

/// Links a file under another name, or copies it if the file system does not support links.
pub(super) fn link(from: &Path, to: &Path) -> Result<(), EdgeError> {
    let linked = fs::hard_link(from, to).or_else(|_| {
        fs::copy(from, to)?;
        File::open(to)?.sync_all()
    });
    linked.map_err(io_error(to))
}

/// Removes a file, or a folder with its contents, if it exists.
pub(super) fn remove(path: &Path) -> Result<(), EdgeError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
