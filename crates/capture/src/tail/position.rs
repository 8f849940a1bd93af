//! The position in a growing file, as one line of text that is replaced atomically.
//!
//! ```text
//! lopside-tail-1 KEY NEXT_INDEX DEVICE INODE HEAD_BYTES HEAD_DIGEST OFFSET INDEX
//! lopside-tail-1 KEY NEXT_INDEX
//! ```
//! `OFFSET` is the place of the first row of the window `INDEX`, the last one of those that are stored without a gap. It is
//! read again after a restart and not returned, because the windows after it may contain some of its rows. `NEXT_INDEX` is
//! the index of the window after it. Indices continue from file to file. The second form is that of a file without a stored
//! window.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};

const MAGIC: &str = "lopside-tail-1";
/// The longest file of a position, in bytes.
const MAX_POSITION_BYTES: u64 = 1024;
/// Maximum number of bytes of the first line by which a file is recognised.
pub(super) const MAX_HEAD_BYTES: usize = 256;
/// Maximum number of files of a folder among which a renamed file is looked for.
const MAX_SEARCHED_FILES: usize = 10_000;

/// Device and inode, which a file keeps when it is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

/// A position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// The key of this position among all files.
    pub(super) key: u64,
    /// The index of the first window that is not stored.
    pub(super) next_index: u64,
    /// The place in a file; `None` before a window of it is stored.
    pub(super) file: Option<FilePlace>,
}

/// The place of a window in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilePlace {
    pub(super) id: FileId,
    /// Length and digest of the beginning of the file, which tell it from a later file with the same inode.
    pub(super) head: FileHead,
    /// Place of the window's first row, in bytes.
    pub(super) offset: u64,
    /// The index of the window.
    pub(super) index: u64,
}

/// Length and digest of the first line of a file, or of its first bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FileHead {
    pub(super) bytes: usize,
    pub(super) digest: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl FileHead {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len(), digest: digest(&[bytes]) }
    }
}

impl Position {
    /// Reads a position, or creates one for a file that was not read yet.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::create(path),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(MAX_POSITION_BYTES).read_to_string(&mut text)?;
        Self::parse(&text).ok_or_else(|| {
            let message =
                "it is not a position of a growing file: remove it to have the file read from its beginning";
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    /// Writes the position, so that it replaces the earlier one atomically.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let mut file = File::create(&temporary)?;
        file.write_all(self.to_line().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder_of(path))?.sync_all()
    }

    /// Returns the path of the file that the position is in: the given one, or another one of its folder to which it was
    /// renamed. Returns `None` if the file is gone, or was replaced by another one with the same inode.
    pub(super) fn find_file(&self, path: &Path) -> Option<(PathBuf, FileId)> {
        let place = self.file.as_ref()?;
        if place.is_in(path) {
            return Some((path.to_owned(), place.id));
        }
        let entries = fs::read_dir(folder_of(path)).ok()?.take(MAX_SEARCHED_FILES).flatten();
        let same_inode = entries.filter(|entry| {
            entry.metadata().is_ok_and(|metadata| metadata.is_file() && FileId::of(&metadata) == place.id)
        });
        let renamed = same_inode.map(|entry| entry.path()).find(|path| place.is_in(path))?;
        Some((renamed, place.id))
    }

    fn create(path: &Path) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let key = digest(&[path.as_os_str().as_encoded_bytes(), &now.to_le_bytes()]);
        let position = Self { key, next_index: 0, file: None };
        position.write(path)?;
        Ok(position)
    }

    fn to_line(&self) -> String {
        let Self { key, next_index, file } = self;
        let Some(FilePlace { id, head, offset, index }) = file else {
            return format!("{MAGIC} {key} {next_index}\n");
        };
        let (FileId { device, inode }, FileHead { bytes, digest }) = (id, head);
        format!("{MAGIC} {key} {next_index} {device} {inode} {bytes} {digest} {offset} {index}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let numbers = text.strip_suffix('\n')?.strip_prefix(MAGIC)?.strip_prefix(' ')?;
        let numbers: Option<Vec<u64>> = numbers.split(' ').map(|number| number.parse().ok()).collect();
        match numbers?[..] {
            [key, next_index] => Some(Self { key, next_index, file: None }),
            [key, next_index, device, inode, bytes, digest, offset, index] => {
                let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_HEAD_BYTES)?;
                let (id, head) = (FileId { device, inode }, FileHead { bytes, digest });
                Some(Self { key, next_index, file: Some(FilePlace { id, head, offset, index }) })
            }
            _ => None,
        }
    }
}

impl FilePlace {
    /// Returns whether the file at a path is that of this place.
    fn is_in(&self, path: &Path) -> bool {
        let Ok(file) = File::open(path) else { return false };
        let is_same = file
            .metadata()
            .is_ok_and(|metadata| FileId::of(&metadata) == self.id && metadata.len() >= self.offset);
        let mut head = Vec::new();
        is_same
            && file.take(self.head.bytes as u64).read_to_end(&mut head).is_ok()
            && FileHead::of(&head) == self.head
    }
}

/// Returns the folder that contains a file.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn digest(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("position");
        let created = Position::open(&path).unwrap();
        assert_eq!(Position::open(&path).unwrap(), created);
        let place = FilePlace {
            id: FileId { device: 1, inode: 2 },
            head: FileHead::of(b"t,x\n"),
            offset: 3,
            index: 4,
        };
        let position = Position { next_index: 5, file: Some(place), ..created };
        position.write(&path).unwrap();
        assert_eq!(Position::open(&path).unwrap(), position);
        for damaged in ["", "lopside-tail-1", "lopside-tail-1 1 2 3\n", "lopside-tail-1 1 2", "x 1 2\n"] {
            fs::write(&path, damaged).unwrap();
            assert!(Position::open(&path).unwrap_err().to_string().contains("remove it"), "{damaged}");
        }
    }

    #[test]
    fn a_renamed_file_is_found_and_another_one_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        fs::write(&path, "t,x\n0,1\n").unwrap();
        let id = FileId::of(&fs::metadata(&path).unwrap());
        let place = FilePlace { id, head: FileHead::of(b"t,x\n"), offset: 4, index: 0 };
        let position = Position { key: 0, next_index: 1, file: Some(place) };
        assert_eq!(position.find_file(&path), Some((path.clone(), id)));
        let renamed = folder.path().join("log.csv.1");
        fs::rename(&path, &renamed).unwrap();
        fs::write(&path, "t,x\n").unwrap();
        assert_eq!(position.find_file(&path), Some((renamed.clone(), id)));
        // The same inode with another beginning, and a shorter file.
        fs::write(&renamed, "y,x\n0,1\n").unwrap();
        assert_eq!(position.find_file(&path), None);
        fs::write(&renamed, "t,x").unwrap();
        assert_eq!(position.find_file(&path), None);
    }
}
