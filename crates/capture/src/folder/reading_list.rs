//! The list of files that are being read: a text file with one line per file, rewritten in place. The word of a
//! line is the number of times that reading the file was begun and did not end.
//!
//! The line of a file is on the disk before its first byte is read, and is removed after its last. A line that is
//! found at the start therefore belongs to a file during whose reading the agent ended, which may be the reason.
//! Removing a line is not synced: if it is lost, its file only has to be read to the end once more.
//!
//! The list is opened for each write: an open file would keep a removed folder in existence, and the removal would
//! not be noticed.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    file_line::{FileLine, MAX_LINE_BYTES, format_line, parse_line},
    fingerprint::Fingerprint,
    place::sync_parent,
};
use crate::{CaptureError, lines::LineReader};

/// Maximum length of the list in bytes. One file is read at a time, so it has very few lines.
const MAX_LIST_BYTES: u64 = 1 << 16;

/// Files with the number of times that reading them was begun and did not end, by name.
type BegunFiles = BTreeMap<OsString, (Fingerprint, u32)>;

/// The list of files that are being read.
#[derive(Debug)]
pub(crate) struct ReadingList {
    path: PathBuf,
    begun: BegunFiles,
}

impl ReadingList {
    /// Opens the list of a folder's files, without those that have changed or no longer exist. A list that is
    /// missing is empty, and is created when it is written.
    pub(crate) fn open(path: PathBuf, folder: &Path) -> Result<Self, CaptureError> {
        let mut begun = match File::open(&path).and_then(|file| read_list(&file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => BegunFiles::new(),
            result => result.map_err(CaptureError::file_error("open the list", &path))?,
        };
        begun.retain(|name, (fingerprint, _)| {
            Fingerprint::read_fingerprint(&folder.join(name)) == Some(*fingerprint)
        });
        Ok(Self { path, begun })
    }

    /// Returns the number of times that reading this file in this state was begun and did not end.
    pub(crate) fn begun_count(&self, name: &OsStr, fingerprint: Fingerprint) -> u32 {
        let entry = self.begun.get(name).filter(|(begun, _)| *begun == fingerprint);
        entry.map_or(0, |(_, count)| *count)
    }

    /// Adds a file that is about to be read, and syncs the list to the disk.
    pub(crate) fn begin(&mut self, name: &OsStr, fingerprint: Fingerprint) -> Result<(), CaptureError> {
        let count = self.begun_count(name, fingerprint).saturating_add(1);
        let previous = self.begun.insert(name.to_owned(), (fingerprint, count));
        let written = self.write().and_then(|file| file.sync_data());
        if written.is_err() {
            // A later line must not tell of a reading that this one could not.
            match previous {
                Some(previous) => self.begun.insert(name.to_owned(), previous),
                None => self.begun.remove(name),
            };
        }
        written.map_err(CaptureError::file_error("write the list", &self.path))
    }

    /// Removes a file that was read to its end or put elsewhere.
    pub(crate) fn end(&mut self, name: &OsStr, fingerprint: Fingerprint) -> Result<(), CaptureError> {
        if self.begun_count(name, fingerprint) == 0 {
            return Ok(());
        }
        self.begun.remove(name);
        self.write().map(drop).map_err(CaptureError::file_error("write the list", &self.path))
    }

    /// Writes all lines, and returns the file.
    fn write(&self) -> io::Result<File> {
        let lines = self
            .begun
            .iter()
            .map(|(name, (fingerprint, count))| format_line(&count.to_string(), name, *fingerprint));
        let text: String = lines.collect();
        let file = open_or_create(&self.path)?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.set_len(text.len() as u64)?;
        Ok(file)
    }
}

/// Opens the file of the list, or creates it so that its name is on the disk.
fn open_or_create(path: &Path) -> io::Result<File> {
    match File::options().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let file = File::options().write(true).create_new(true).open(path)?;
            sync_parent(path)?;
            Ok(file)
        }
        result => result,
    }
}

fn read_list(file: &File) -> io::Result<BegunFiles> {
    let mut begun = BegunFiles::new();
    let mut lines = LineReader::new(file.take(MAX_LIST_BYTES), MAX_LINE_BYTES);
    while let Some((_, line)) = lines.next_line()? {
        let Some(FileLine { word, name, fingerprint }) = line.and_then(parse_line) else { continue };
        if let Ok(count) = word.parse() {
            begun.insert(name, (fingerprint, count));
        }
    }
    Ok(begun)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    /// A folder of files `0`, `1` and `2`, and the list beside them.
    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["0", "1", "2"] {
                fs::write(folder.path().join(name), name).unwrap();
            }
            Self { folder }
        }

        fn list_path(&self) -> PathBuf {
            self.folder.path().join(".reading")
        }

        fn open(&self) -> ReadingList {
            ReadingList::open(self.list_path(), self.folder.path()).unwrap()
        }

        fn fingerprint(&self, name: &str) -> Fingerprint {
            Fingerprint::read_fingerprint(&self.folder.path().join(name)).unwrap()
        }

        fn count(&self, list: &ReadingList, name: &str) -> u32 {
            list.begun_count(OsStr::new(name), self.fingerprint(name))
        }
    }

    #[test]
    fn a_list_torn_anywhere_is_read_and_rewritten() {
        let files = Files::new();
        let mut list = files.open();
        for name in ["0", "1"] {
            list.begin(OsStr::new(name), files.fingerprint(name)).unwrap();
        }
        let text = fs::read(files.list_path()).unwrap();
        let first_line = text.iter().position(|&byte| byte == b'\n').unwrap();
        for len in 0..=text.len() {
            fs::write(files.list_path(), &text[..len]).unwrap();
            let mut list = files.open();
            assert_eq!(files.count(&list, "0"), u32::from(len >= first_line), "{len}");
            assert_eq!(files.count(&list, "1"), u32::from(len >= text.len() - 1), "{len}");
            list.begin(OsStr::new("2"), files.fingerprint("2")).unwrap();
            assert_eq!(files.count(&files.open(), "2"), 1, "{len}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_written_counts_nothing() {
        let files = Files::new();
        fs::create_dir(files.list_path()).unwrap();
        let mut list = ReadingList { path: files.list_path(), begun: BegunFiles::new() };
        let error = list.begin(OsStr::new("0"), files.fingerprint("0")).unwrap_err().to_string();
        assert!(error.contains("cannot write the list"), "{error}");
        assert_eq!(files.count(&list, "0"), 0);
    }

    #[test]
    fn a_file_that_has_changed_begins_anew() {
        let files = Files::new();
        files.open().begin(OsStr::new("0"), files.fingerprint("0")).unwrap();
        assert_eq!(files.count(&files.open(), "0"), 1);
        fs::write(files.folder.path().join("0"), "another length").unwrap();
        let mut list = files.open();
        assert_eq!(files.count(&list, "0"), 0);
        list.begin(OsStr::new("0"), files.fingerprint("0")).unwrap();
        assert_eq!(files.count(&list, "0"), 1);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Begin(usize),
        End(usize),
        /// The process ends, and another one begins.
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![(0_usize..3).prop_map(Step::Begin), (0_usize..3).prop_map(Step::End), Just(Step::Restart)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn it_counts_what_was_begun_and_not_ended(steps in prop::collection::vec(step(), 1..20)) {
            let files = Files::new();
            let (mut list, mut expected) = (files.open(), [0; 3]);
            for step in steps {
                match step {
                    Step::Begin(file) => {
                        let name = file.to_string();
                        list.begin(OsStr::new(&name), files.fingerprint(&name)).unwrap();
                        expected[file] += 1;
                    }
                    Step::End(file) => {
                        let name = file.to_string();
                        list.end(OsStr::new(&name), files.fingerprint(&name)).unwrap();
                        expected[file] = 0;
                    }
                    Step::Restart => list = files.open(),
                }
                prop_assert_eq!(["0", "1", "2"].map(|name| files.count(&list, name)), expected);
            }
        }
    }
}
