//! The list of done files that stay in place: an append-only text file with one line per file.
//!
//! ```text
//! done SIZE SECONDS NANOSECONDS LENGTH NAME
//! ```
//! The first word is `failed` instead of `done` for a file that could not be read, and `refused` for one that was
//! set aside because the agent ended while it was being read. A line torn by a crash is ignored, and its file is
//! taken again. The list is opened for each line, like the list of files that are being read, and created anew if its
//! folder was replaced. Once most lines refer to files that no longer exist, the list is rewritten in a temporary file,
//! which then replaces it atomically.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::{
    file_line::{self, FileLine, MAX_LINE_BYTES},
    fingerprint::Fingerprint,
    place::sync_parent,
};
use crate::{CaptureError, lines::LineReader};

/// Number of lines below which the list is not worth rewriting.
const MIN_COMPACT_LINES: usize = 1024;

/// Result of processing a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileOutcome {
    Done,
    /// It could not be read.
    Failed,
    /// The agent ended too often while it was being read.
    Refused,
}

/// The fingerprint and the outcome of each file, by name.
type KnownFiles = HashMap<OsString, (Fingerprint, FileOutcome)>;

/// The list of done files.
#[derive(Debug)]
pub(crate) struct DoneList {
    path: PathBuf,
    /// The folder that contains the files.
    folder: PathBuf,
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
        Ok(Self { path, folder, known, line_count, compact_at, may_be_torn })
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
        let mut file = File::options().append(true).create(true).open(&self.path)?;
        self.may_be_torn = true;
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
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
        sync_parent(&self.path)?;
        (self.line_count, self.compact_at) = (self.known.len(), 2 * self.known.len() + MIN_COMPACT_LINES);
        Ok(())
    }
}

fn open_error(path: &Path) -> impl FnOnce(io::Error) -> CaptureError {
    CaptureError::file_error("open the list", path)
}

fn format_line(name: &OsStr, fingerprint: Fingerprint, outcome: FileOutcome) -> String {
    let word = match outcome {
        FileOutcome::Done => "done",
        FileOutcome::Failed => "failed",
        FileOutcome::Refused => "refused",
    };
    file_line::format_line(word, name, fingerprint)
}

fn parse_line(line: &[u8]) -> Option<(OsString, (Fingerprint, FileOutcome))> {
    let FileLine { word, name, fingerprint } = file_line::parse_line(line)?;
    let outcome = match word {
        "done" => FileOutcome::Done,
        "failed" => FileOutcome::Failed,
        "refused" => FileOutcome::Refused,
        _ => return None,
    };
    Some((name, (fingerprint, outcome)))
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

    #[test]
    fn every_outcome_survives_its_line() {
        for outcome in [FileOutcome::Done, FileOutcome::Failed, FileOutcome::Refused] {
            let line = format_line(OsStr::new("a b"), fingerprint(9), outcome);
            let parsed = parse_line(line.trim_end_matches('\n').as_bytes());
            assert_eq!(parsed, Some(("a b".into(), (fingerprint(9), outcome))));
        }
        assert_eq!(parse_line(b"lost 1 2 3 1 a"), None);
    }
}
