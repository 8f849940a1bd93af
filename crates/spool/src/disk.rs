use std::{
    fs, io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
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
pub struct DiskFile(fs::File);

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
        let path = self.folder.join(name);
        let file = fs::File::options().read(true).write(true).create_new(true).open(path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, len) {
            // Some file systems cannot reserve space. A later write may then fail because the disk is full.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(len)?,
            result => result?,
        }
        Ok(DiskFile(file))
    }

    fn open(&self, name: &str) -> io::Result<DiskFile> {
        fs::File::options().read(true).write(true).open(self.folder.join(name)).map(DiskFile)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.folder_handle.sync_all()
    }
}

impl File for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
