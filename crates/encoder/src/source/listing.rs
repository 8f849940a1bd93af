//! The files that stand for inputs, and the entries of folders that do not.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    InputError,
    content::{is_numbers_file, kind_by_content, kind_by_name},
    error::io_error,
    names::{NamedFile, name_files},
};

/// The input files of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputListing {
    /// The files to read, in this order, each once.
    pub files: Vec<NamedFile>,
    /// The entries of the given folders that are not inputs.
    pub skipped: Vec<SkippedEntry>,
}

/// An entry of a folder that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedEntry {
    /// The entry.
    pub path: PathBuf,
    /// The reason.
    pub reason: String,
}

/// Lists these files, and the inputs in these folders. No output gets one of the reserved names.
///
/// # Errors
/// [`InputError::Io`] for a folder that cannot be listed, [`InputError::NoImages`] or [`InputError::NoNumbers`] if there are no
/// files to read.
pub(crate) fn list(
    inputs: &[PathBuf],
    takes_numbers: bool,
    reserved: &[&str],
) -> Result<InputListing, InputError> {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for input in inputs {
        if !input.is_dir() {
            files.push(input.clone());
            continue;
        }
        for path in sorted_entries(input)? {
            match judge_entry(&path, takes_numbers) {
                None => files.push(path),
                Some(reason) => skipped.push(SkippedEntry { path, reason }),
            }
        }
    }
    if files.is_empty() {
        let (paths, skipped) = (join_paths(inputs), skipped.len());
        return Err(if takes_numbers {
            InputError::NoNumbers { paths, skipped }
        } else {
            InputError::NoImages { paths, skipped }
        });
    }
    Ok(InputListing { files: name_files(files, reserved), skipped })
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, InputError> {
    let entries = fs::read_dir(folder).map_err(io_error(folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(io_error(folder)));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// Returns the reason why an entry of a folder is not an input; `None` for an input.
fn judge_entry(path: &Path, takes_numbers: bool) -> Option<String> {
    let is_dir = fs::metadata(path).is_ok_and(|metadata| metadata.is_dir());
    if is_dir {
        return Some("a folder in a folder is not read: give it as an input of its own".into());
    }
    if takes_numbers {
        return (!is_numbers_file(path))
            .then(|| "neither its name nor its content is that of a CSV or .npy file".into());
    }
    // A file that is named like an image is an input even if it cannot be read: its reader says why.
    if kind_by_name(path).is_some() {
        return None;
    }
    match kind_by_content(path) {
        Ok(Some(_)) => None,
        Ok(None) => {
            Some("neither its content nor its name is that of an image, a .npy or an IDX file".into())
        }
        Err(InputError::Io { source, .. }) => Some(format!("it cannot be read: {source}")),
        Err(InputError::InvalidFile { reason, .. }) => Some(reason),
        Err(other) => Some(other.to_string()),
    }
}

fn join_paths(inputs: &[PathBuf]) -> String {
    let paths: Vec<String> = inputs.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}
