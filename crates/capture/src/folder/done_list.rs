//! The list of done files that stay in place: an append-only text file with one line per file.
//!
//! ```text
//! done SIZE SECONDS NANOSECONDS LENGTH NAME
//! ```
//! The first word is `failed` instead of `done` for a file that could not be read. Bytes of the name other
//! than printable ASCII are escaped; `LENGTH` is the length of the escaped name, so that a line torn by a
//! crash is detected. Such a line is ignored, and its file is taken again. Once most lines refer to files
//! that no longer exist, the list is rewritten in a temporary file, which then replaces it atomically.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use super::fingerprint::Fingerprint;
use crate::{CaptureError, lines::LineReader};

/// Number of lines below which the list is not worth rewriting.
const MIN_COMPACT_LINES: usize = 1024;
/// The longest line in bytes: a name has at most 255 bytes, each escaped as four.
const MAX_LINE_BYTES: usize = 2048;

/// Result of processing a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileOutcome {
    Done,
    Failed,
}

/// The fingerprint and the outcome of each file, by name.
type KnownFiles = HashMap<OsString, (Fingerprint, FileOutcome)>;

/// The list of done files.
#[derive(Debug)]
pub(crate) struct DoneList {
    path: PathBuf,
    /// The folder that contains the files.
    folder: PathBuf,
    file: File,
    known: KnownFiles,
    line_count: usize,
    /// Number of lines at which the list is rewritten.
    compact_at: usize,
    /// Whether the file may end in the middle of a line.
    may_be_torn: bool,
}

impl DoneList {
    /// Opens or creates the list of a folder's files.
    pub(crate) fn open(path: &Path, folder: &Path) -> Result<Self, CaptureError> {
        let result = File::options().read(true).append(true).create(true).open(path);
        let mut file = result.map_err(open_error(path))?;
        let (known, line_count) = read_list(&file).map_err(open_error(path))?;
        let may_be_torn = !ends_with_line(&mut file).map_err(open_error(path))?;
        let compact_at = 2 * known.len() + MIN_COMPACT_LINES;
        let (path, folder) = (path.to_owned(), folder.to_owned());
        Ok(Self { path, folder, file, known, line_count, compact_at, may_be_torn })
    }

    /// Returns whether this file is on the list in this state.
    pub(crate) fn is_listed(&self, name: &OsStr, fingerprint: Fingerprint) -> bool {
        self.known.get(name).is_some_and(|(known, _)| *known == fingerprint)
    }

    /// Adds a file to the list, and syncs the list to the disk.
    pub(crate) fn add(
        &mut self,
        name: OsString,
        fingerprint: Fingerprint,
        outcome: FileOutcome,
    ) -> Result<(), CaptureError> {
        self.append(&format_line(&name, fingerprint, outcome))
            .map_err(CaptureError::file_error("write the list", &self.path))?;
        self.known.insert(name, (fingerprint, outcome));
        self.line_count += 1;
        if self.line_count >= self.compact_at {
            self.compact().map_err(CaptureError::file_error("rewrite the list", &self.path))?;
        }
        Ok(())
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let line = if self.may_be_torn { format!("\n{line}") } else { line.to_owned() };
        self.may_be_torn = true;
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.may_be_torn = false;
        Ok(())
    }

    /// Rewrites the list without the files that have changed or no longer exist.
    fn compact(&mut self) -> io::Result<()> {
        let folder = &self.folder;
        self.known.retain(|name, (fingerprint, _)| {
            Fingerprint::read_fingerprint(&folder.join(name)) == Some(*fingerprint)
        });
        let text: String = self
            .known
            .iter()
            .map(|(name, (fingerprint, outcome))| format_line(name, *fingerprint, *outcome))
            .collect();
        let mut temporary_path = self.path.clone().into_os_string();
        temporary_path.push(".tmp");
        fs::write(&temporary_path, text)?;
        File::open(&temporary_path)?.sync_all()?;
        fs::rename(&temporary_path, &self.path)?;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        self.file = File::options().append(true).open(&self.path)?;
        (self.line_count, self.compact_at) = (self.known.len(), 2 * self.known.len() + MIN_COMPACT_LINES);
        Ok(())
    }
}

fn open_error(path: &Path) -> impl FnOnce(io::Error) -> CaptureError {
    CaptureError::file_error("open the list", path)
}

fn format_line(name: &OsStr, fingerprint: Fingerprint, outcome: FileOutcome) -> String {
    let name = name.as_bytes().escape_ascii().to_string();
    let outcome = match outcome {
        FileOutcome::Done => "done",
        FileOutcome::Failed => "failed",
    };
    format!(
        "{outcome} {} {} {} {} {name}\n",
        fingerprint.size_bytes,
        fingerprint.seconds,
        fingerprint.nanoseconds,
        name.len()
    )
}

fn parse_line(line: &[u8]) -> Option<(OsString, (Fingerprint, FileOutcome))> {
    let mut fields = std::str::from_utf8(line).ok()?.splitn(6, ' ');
    let outcome = match fields.next()? {
        "done" => FileOutcome::Done,
        "failed" => FileOutcome::Failed,
        _ => return None,
    };
    let size = fields.next()?.parse().ok()?;
    let seconds = fields.next()?.parse().ok()?;
    let nanoseconds = fields.next()?.parse().ok().filter(|&nanoseconds| nanoseconds < 1_000_000_000)?;
    let length: usize = fields.next()?.parse().ok()?;
    let name = fields.next().filter(|name| name.len() == length)?;
    Some((
        OsString::from_vec(unescape(name)?),
        (Fingerprint { seconds, nanoseconds, size_bytes: size }, outcome),
    ))
}

/// Reverses [`escape_ascii`](slice::escape_ascii).
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::new();
    while let Some(&byte) = rest.split_off_first() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.split_off_first()? {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => u8::from_str_radix(std::str::from_utf8(rest.split_off(..2)?).ok()?, 16).ok()?,
            other => *other,
        });
    }
    Some(bytes)
}

/// Reads the files of a list and its number of lines.
fn read_list(file: &File) -> io::Result<(KnownFiles, usize)> {
    let mut known = KnownFiles::new();
    let mut lines = LineReader::new(file, MAX_LINE_BYTES);
    let mut count = 0;
    while let Some((_, line)) = lines.next_line()? {
        count += 1;
        known.extend(line.and_then(parse_line));
    }
    Ok((known, count))
}

fn ends_with_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fingerprint(size: u64) -> Fingerprint {
        Fingerprint { seconds: 7, nanoseconds: 8, size_bytes: size }
    }

    #[test]
    fn a_list_torn_anywhere_is_read_and_extended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".list");
        let text = format_line(OsStr::new("a b"), fingerprint(1), FileOutcome::Done)
            + &format_line(OsStr::new("c\n"), fingerprint(2), FileOutcome::Failed);
        for len in 0..=text.len() {
            fs::write(&path, &text[..len]).unwrap();
            let mut list = DoneList::open(&path, folder.path()).unwrap();
            assert_eq!(
                list.is_listed(OsStr::new("a b"), fingerprint(1)),
                len >= text.find('\n').unwrap(),
                "{len}"
            );
            assert_eq!(list.is_listed(OsStr::new("c\n"), fingerprint(2)), len >= text.len() - 1, "{len}");
            list.add("d".into(), fingerprint(3), FileOutcome::Done).unwrap();
            assert!(
                DoneList::open(&path, folder.path()).unwrap().is_listed(OsStr::new("d"), fingerprint(3)),
                "{len}"
            );
        }
    }

    #[test]
    fn compaction_removes_only_files_that_no_longer_exist() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".list");
        fs::write(folder.path().join("kept"), "x").unwrap();
        let kept_fingerprint = Fingerprint::read_fingerprint(&folder.path().join("kept")).unwrap();
        let mut list = DoneList::open(&path, folder.path()).unwrap();
        list.add("kept".into(), kept_fingerprint, FileOutcome::Done).unwrap();
        for number in 0..MIN_COMPACT_LINES {
            list.add(format!("gone-{number}").into(), fingerprint(1), FileOutcome::Done).unwrap();
        }
        assert!(list.line_count < 10 && list.known.len() < 10, "{} lines", list.line_count);
        list.add("new".into(), fingerprint(2), FileOutcome::Failed).unwrap();
        let reopened = DoneList::open(&path, folder.path()).unwrap();
        assert!(
            reopened.is_listed(OsStr::new("kept"), kept_fingerprint)
                && reopened.is_listed(OsStr::new("new"), fingerprint(2))
        );
        assert!(!reopened.is_listed(OsStr::new("kept"), fingerprint(9)), "the file has changed since then");
    }

    proptest! {
        #[test]
        fn every_name_survives_its_line(name in prop::collection::vec(any::<u8>(), 1..40), seconds in any::<i64>(), failed in any::<bool>()) {
            let outcome = if failed { FileOutcome::Failed } else { FileOutcome::Done };
            let (name, fingerprint) = (OsString::from_vec(name), Fingerprint { seconds, ..fingerprint(9) });
            let line = format_line(&name, fingerprint, outcome);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert_eq!(parse_line(line.trim_end_matches('\n').as_bytes()), Some((name, (fingerprint, outcome))));
        }

        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..60), text in "(done|failed) [0-9]{1,3} -?[0-9] [0-9] [0-9] [\\\\a-zé]{0,9}") {
            prop_assert!(parse_line(&line).is_none());
            if let Some((name, _)) = parse_line(text.as_bytes()) {
                prop_assert!(name.len() <= 9);
            }
        }
    }
}
