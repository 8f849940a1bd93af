use std::{
    fs, io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, FlockOperation, fallocate, flock},
    io::Errno,
};

use crate::{File, Storage};

/// A folder in a real file system.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    /// The open folder, kept for syncing it.
    folder_handle: fs::File,
}

/// A file in a [`Disk`].
#[derive(Debug)]
pub struct DiskFile {
    file: fs::File,
    /// The device and the inode, which identify the file whatever its name refers to.
    id: [u64; 2],
    is_locked: bool,
}

impl Disk {
    /// Opens the folder, and creates it if it is missing.
    ///
    /// # Errors
    /// Returns the I/O error of the operating system.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), folder_handle: fs::File::open(folder)? })
    }
}

impl DiskFile {
    fn new(file: fs::File) -> io::Result<Self> {
        let id = file_id(&file.metadata()?);
        Ok(Self { file, id, is_locked: false })
    }
}

fn file_id(metadata: &fs::Metadata) -> [u64; 2] {
    [metadata.dev(), metadata.ino()]
}

impl Storage for Disk {
    type File = DiskFile;

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            // Files of the spool have names in UTF-8; all others belong to someone else.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str, len: u64) -> io::Result<DiskFile> {
        let file = fs::File::options().read(true).write(true).create_new(true).open(self.path(name))?;
        match fallocate(&file, FallocateFlags::empty(), 0, len) {
            // Some file systems cannot reserve space. A later write may then fail because the disk is full.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(len)?,
            result => result?,
        }
        DiskFile::new(file)
    }

    fn open(&self, name: &str) -> io::Result<DiskFile> {
        DiskFile::new(fs::File::options().read(true).write(true).open(self.path(name))?)
    }

    fn lock(&self, name: &str) -> io::Result<DiskFile> {
        let mut options = fs::File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(self.path(name))?;
        // The lock belongs to this handle, so it also excludes other handles of this process.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let mut file = DiskFile::new(file)?;
        file.is_locked = true;
        Ok(file)
    }

    fn is_current(&self, name: &str, file: &DiskFile) -> io::Result<bool> {
        match fs::metadata(self.path(name)) {
            Ok(metadata) => Ok(file_id(&metadata) == file.id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn rename(&self, name: &str, new_name: &str) -> io::Result<()> {
        fs::rename(self.path(name), self.path(new_name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.folder_handle.sync_all()
    }
}

impl Drop for DiskFile {
    /// Ends the lock at once. A program that is being started shares the handle for a moment, until it runs, and would
    /// keep the lock if the handle were only closed.
    fn drop(&mut self) {
        if self.is_locked {
            let _ = flock(&self.file, FlockOperation::Unlock);
        }
    }
}

impl File for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
