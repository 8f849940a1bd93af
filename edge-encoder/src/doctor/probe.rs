use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

const NAME: &str = ".doctor";

/// A file that a check writes into a folder. It is removed when it is dropped, also after a failed write.
pub(super) struct ProbeFile {
    pub(super) file: File,
    path: PathBuf,
}

impl ProbeFile {
    /// Creates the file.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        Ok(Self { file: File::create(&path)?, path })
    }

    /// Removes the file, and reports if that fails.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

impl Drop for ProbeFile {
    fn drop(&mut self) {
        // The failure that matters is already reported; after `remove` the file is gone.
        let _ = fs::remove_file(&self.path);
    }
}
