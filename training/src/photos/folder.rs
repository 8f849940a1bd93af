//! Lists the photographs below a folder, in an order that does not depend on the file system.

use std::{
    fs, io as std_io,
    path::{Path, PathBuf},
};

use lopside_input::has_image_extension;

use crate::{TrainingError, error::io_error};

/// The file of a photograph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PhotoFile {
    /// Path below the folder, with `/`; unique and the same on every machine.
    pub(super) name: String,
    /// Path of the file.
    pub(super) path: PathBuf,
}

/// Returns all files of images below `root`, at any depth, sorted by name. Links to files
/// are followed; links to folders are not, because they may form a cycle.
///
/// # Errors
/// [`TrainingError::Io`] when a folder cannot be read or a file's name is not UTF-8.
pub(super) fn list(root: &Path) -> Result<Vec<PhotoFile>, TrainingError> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(io_error(&folder))? {
            let entry = entry.map_err(io_error(&folder))?;
            let path = entry.path();
            if entry.file_type().map_err(io_error(&path))?.is_dir() {
                folders.push(path);
            } else if is_photo(&path) {
                files.push(PhotoFile { name: relative_name(root, &path)?, path });
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_photo(path: &Path) -> bool {
    has_image_extension(path) && path.is_file()
}

fn relative_name(root: &Path, path: &Path) -> Result<String, TrainingError> {
    let parts: Option<Vec<&str>> =
        path.strip_prefix(root).unwrap_or(path).iter().map(|part| part.to_str()).collect();
    let parts = parts.ok_or_else(|| {
        let reason = "the name is not valid UTF-8: rename the file";
        io_error(path)(std_io::Error::new(std_io::ErrorKind::InvalidFilename, reason))
    })?;
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_at_any_depth_and_in_any_case_and_sorted() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/c")).unwrap();
        for name in ["z.PNG", "b/c/y.jpeg", "b/x.Jpg", "a.webp", "b/notes.txt", "jpg"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        let names: Vec<String> = list(root.path()).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["a.webp", "b/c/y.jpeg", "b/x.Jpg", "z.PNG"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = list(Path::new("/no/such/photographs")).unwrap_err();
        assert!(error.to_string().contains("/no/such/photographs"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_to_its_own_folder_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
        assert_eq!(list(root.path()).unwrap(), []);
    }
}
