//! The folders and files of a watched folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{fingerprint::Fingerprint, ignored_name::is_ignored_path};
use crate::CaptureError;

/// Subfolders of the watched folder in which files are put that were read, could not be read, or were set aside.
/// They are not searched, also if another folder is configured for files that are done.
pub(crate) const DONE_FOLDER: &str = "done";
pub(crate) const FAILED_FOLDER: &str = "failed";
pub(crate) const REFUSED_FOLDER: &str = "refused";

/// Maximum depth of subfolders. It bounds the recursion.
const MAX_DEPTH: usize = 32;

/// The watched folder, and which of its subfolders belong to it.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: PathBuf,
    is_recursive: bool,
    /// Subfolders that are not searched, relative to the root.
    excluded: Vec<PathBuf>,
}

/// An entry of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A folder that is searched, with the time of its last modification before it was listed.
    Folder(SystemTime),
    /// A regular file, or a link to one.
    File(Fingerprint),
    /// Something that is never read, and the reason.
    Other(&'static str),
}

impl Tree {
    /// Creates a tree, with or without its subfolders. Files that are done are moved to `done_folder`.
    pub(crate) fn new(root: &Path, is_recursive: bool, done_folder: Option<&Path>) -> Self {
        let mut excluded = [DONE_FOLDER, FAILED_FOLDER, REFUSED_FOLDER].map(PathBuf::from).to_vec();
        let resolved = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let inside =
            done_folder.and_then(|done| resolved(done).strip_prefix(resolved(root)).ok().map(Path::to_owned));
        excluded.extend(inside);
        Self { root: root.to_owned(), is_recursive, excluded }
    }

    /// Returns the watched folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of an entry; the empty path is the watched folder.
    pub(crate) fn path(&self, relative: &Path) -> PathBuf {
        if relative.as_os_str().is_empty() { self.root.clone() } else { self.root.join(relative) }
    }

    /// Returns whether this subfolder is searched.
    pub(crate) fn has_folder(&self, relative: &Path) -> bool {
        let is_hidden = relative.iter().any(|name| name.as_encoded_bytes().starts_with(b"."));
        self.is_recursive
            && !is_hidden
            && relative.iter().count() <= MAX_DEPTH
            && !self.excluded.iter().any(|excluded| relative.starts_with(excluded))
    }

    /// Passes a folder, its files and its subfolders to `visit`, with their paths in the watched folder. Returns the
    /// errors of subfolders that cannot be listed.
    ///
    /// # Errors
    /// [`CaptureError::FileOperation`] if the folder itself cannot be listed.
    pub(crate) fn walk(
        &self,
        folder: &Path,
        visit: &mut dyn FnMut(&Path, Entry),
    ) -> Result<Vec<CaptureError>, CaptureError> {
        let mut problems = Vec::new();
        let list_error = |folder: &Path| CaptureError::file_error("list", self.path(folder));
        let mut waiting = self.list_folder(folder, visit).map_err(list_error(folder))?;
        while let Some(subfolder) = waiting.pop() {
            match self.list_folder(&subfolder, visit) {
                Ok(found) => waiting.extend(found),
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => problems.push(list_error(&subfolder)(error)),
            }
        }
        Ok(problems)
    }

    /// Lists one folder, and returns its subfolders.
    fn list_folder(&self, folder: &Path, visit: &mut dyn FnMut(&Path, Entry)) -> io::Result<Vec<PathBuf>> {
        let path = self.path(folder);
        let modified_at = fs::metadata(&path)?.modified()?;
        let entries = fs::read_dir(&path)?;
        visit(folder, Entry::Folder(modified_at));
        let mut subfolders = Vec::new();
        for entry in entries {
            let entry = entry?;
            let relative = folder.join(entry.file_name());
            // An entry that is gone by now is not a file of the folder any more.
            let Ok(file_type) = entry.file_type() else { continue };
            if file_type.is_dir() {
                if self.has_folder(&relative) {
                    subfolders.push(relative);
                }
            } else if !is_ignored_path(&relative) {
                visit_file(&entry.path(), &relative, file_type.is_symlink(), visit);
            }
        }
        Ok(subfolders)
    }
}

/// Passes an entry that is not a folder to `visit`.
fn visit_file(path: &Path, relative: &Path, is_link: bool, visit: &mut dyn FnMut(&Path, Entry)) {
    match fs::metadata(path) {
        Ok(metadata) => visit(relative, entry_of(&metadata, is_link)),
        Err(_) if is_link => visit(relative, Entry::Other("it is a link that leads to no file")),
        // It was removed meanwhile.
        Err(_) => {}
    }
}

fn entry_of(metadata: &fs::Metadata, is_link: bool) -> Entry {
    match Fingerprint::of_metadata(metadata) {
        Some(fingerprint) => Entry::File(fingerprint),
        None if is_link && metadata.is_dir() => {
            Entry::Other("it is a link to a folder, which is not followed")
        }
        None => Entry::Other("it is neither a file nor a folder"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(tree: &Tree) -> Vec<String> {
        let mut names = Vec::new();
        let visit = &mut |path: &Path, entry: Entry| {
            let kind = match entry {
                Entry::Folder(_) => "folder",
                Entry::File(_) => "file",
                Entry::Other(_) => "other",
            };
            names.push(format!("{kind} {}", path.display()));
        };
        assert!(tree.walk(Path::new(""), visit).unwrap().is_empty());
        names.sort();
        names
    }

    #[test]
    fn subfolders_are_searched_without_those_of_finished_files() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["2026/01", "done", "failed", "refused", ".hidden", "sent/a"] {
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(root.join(name).join("a.jpg"), "x").unwrap();
        }
        fs::write(root.join("b.jpg"), "x").unwrap();
        symlink("b.jpg", root.join("link")).unwrap();
        symlink("2026", root.join("loop")).unwrap();
        symlink("nothing", root.join("broken")).unwrap();
        let flat = ["file b.jpg", "file link", "folder ", "other broken", "other loop"];
        assert_eq!(names(&Tree::new(root, false, None)), flat);
        let tree = Tree::new(root, true, Some(&root.join("sent")));
        let mut deep = [&flat[..], &["file 2026/01/a.jpg", "folder 2026", "folder 2026/01"]].concat();
        deep.sort_unstable();
        assert_eq!(names(&tree), deep);
    }
}
