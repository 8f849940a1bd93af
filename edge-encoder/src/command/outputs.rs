//! The folder into which a command writes: no file is written twice in one run, and no input is overwritten.
//!
//! A file appears under its name when it is complete.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process,
};

use lopside_encoder::source::NamedFile;

use crate::{EdgeError, error::io_error};

/// The output folder of one run.
pub(super) struct Outputs {
    folder: PathBuf,
    inputs: HashSet<FileId>,
    written: HashSet<FileId>,
    replaced: u64,
}

/// The file system and the number of a file: names that differ may lead to one file, by a link or because the file
/// system ignores their case.
type FileId = (u64, u64);

impl Outputs {
    /// Creates the outputs of a run over these input files.
    pub(super) fn new(folder: PathBuf, inputs: &[NamedFile]) -> Self {
        let inputs = inputs.iter().filter_map(|input| file_id(&input.path)).collect();
        Self { folder, inputs, written: HashSet::new(), replaced: 0 }
    }

    /// The output folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the number of files of earlier runs that were replaced.
    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Writes a file into the folder or below it, and returns its path. Folders are created if necessary. Files of
    /// earlier runs are replaced and counted.
    ///
    /// # Errors
    /// [`EdgeError::Overwrites`] for an input or a file that this run has written, [`EdgeError::Io`].
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, EdgeError> {
        let path = self.folder.join(name);
        let found = file_id(&path);
        if let Some(id) = found {
            self.check_replaceable(&path, id)?;
        }
        self.written.insert(replace_file(&path, bytes)?);
        self.replaced += u64::from(found.is_some());
        Ok(path)
    }

    fn check_replaceable(&self, path: &Path, id: FileId) -> Result<(), EdgeError> {
        let what = if self.inputs.contains(&id) {
            "an input of this run"
        } else if self.written.contains(&id) {
            "an output of this run"
        } else {
            return Ok(());
        };
        Err(EdgeError::Overwrites { path: path.to_owned(), what })
    }
}

fn file_id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Writes a file beside its place, and then moves it there.
fn replace_file(path: &Path, bytes: &[u8]) -> Result<FileId, EdgeError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io_error(folder))?;
    }
    let part = path.with_file_name(format!(".lopside-{}.part", process::id()));
    let written = write_part(&part, bytes).and_then(|id| fs::rename(&part, path).map(|()| id));
    written.map_err(|error| {
        // The error says more than that of a removal.
        let _ = fs::remove_file(&part);
        io_error(path)(error)
    })
}

fn write_part(part: &Path, bytes: &[u8]) -> io::Result<FileId> {
    fs::write(part, bytes)?;
    let metadata = fs::metadata(part)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn named(path: &Path) -> NamedFile {
        NamedFile { path: path.to_owned(), name: "a".into() }
    }

    #[test]
    fn inputs_and_outputs_of_the_run_are_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("a.png");
        fs::write(&input, b"input").unwrap();
        let mut outputs = Outputs::new(folder.path().to_owned(), &[named(&input)]);
        let error = outputs.write("a.png", b"x").unwrap_err().to_string();
        assert!(error.contains("an input of this run"), "{error}");
        assert_eq!(fs::read(&input).unwrap(), b"input");
        assert_eq!(fs::read(outputs.write("b.png", b"one").unwrap()).unwrap(), b"one");
        let error = outputs.write("b.png", b"two").unwrap_err().to_string();
        assert!(error.contains("an output of this run"), "{error}");
        assert_eq!(outputs.replaced(), 0);
        let mut again = Outputs::new(folder.path().to_owned(), &[named(&input)]);
        assert!(again.write("b.png", b"a later run").is_ok());
        assert_eq!(again.replaced(), 1);
    }

    #[test]
    fn an_input_is_recognised_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("a.png");
        fs::write(&input, b"input").unwrap();
        symlink(&input, folder.path().join("soft.png")).unwrap();
        fs::hard_link(&input, folder.path().join("hard.png")).unwrap();
        let mut outputs = Outputs::new(folder.path().to_owned(), &[named(&input)]);
        for name in ["soft.png", "hard.png"] {
            let error = outputs.write(name, b"x").unwrap_err().to_string();
            assert!(error.contains("an input of this run"), "{error}");
        }
        assert_eq!(fs::read(&input).unwrap(), b"input");
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::new(folder.path().to_owned(), &[]);
        fs::create_dir(folder.path().join("taken.png")).unwrap();
        assert!(outputs.write("taken.png", b"x").is_err());
        assert!(outputs.write(&"x".repeat(300), b"x").is_err());
        assert!(outputs.write("deep/er/a.png", b"x").is_ok());
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["deep", "taken.png"]);
    }
}
