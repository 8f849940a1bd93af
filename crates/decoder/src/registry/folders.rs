//! The layout of bundle folders.
//!
//! ```text
//! FOLDER/bundle.json                   the folder is a bundle
//! FOLDER/fashion/bundle.json           a repository of bundles, each of version 1
//! FOLDER/fashion/2/bundle.json         … or with one folder per version, named by its number
//! ```
//! Folder names only serve to find bundles; the name of a served bundle is in its manifest.

use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Deserialize;

use crate::LoadError;

const MANIFEST_FILE: &str = "bundle.json";

/// The folder of one version of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BundleFolder {
    pub(super) folder: PathBuf,
    pub(super) version: u32,
}

/// The state of a bundle's files, to detect changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl BundleFolder {
    /// Returns the name in the manifest, or the folder's name if the manifest cannot be read.
    pub(super) fn name(&self) -> String {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let text = fs::read(self.folder.join(MANIFEST_FILE)).unwrap_or_default();
        let named: Result<Named, _> = serde_json::from_slice(&text);
        named.map_or_else(|_| self.folder_name(), |named| named.name)
    }

    /// Returns paths, lengths and modification times of the files in the folder and in `heads`.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut files = Vec::new();
        let folders = [self.folder.clone(), self.folder.join("heads")];
        for folder in folders {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let metadata = fs::metadata(entry.path()).ok();
                let time = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
                files.push((entry.path(), metadata.as_ref().map_or(0, Metadata::len), time));
            }
        }
        files.sort();
        Fingerprint(files)
    }

    fn folder_name(&self) -> String {
        let is_version = version_of(&self.folder).is_some();
        let named = if is_version { self.folder.parent() } else { Some(self.folder.as_path()) };
        named.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// What was found in a source.
#[derive(Debug, Default)]
pub(super) struct FolderScan {
    /// The bundles, ordered by folder.
    pub(super) bundles: Vec<BundleFolder>,
    /// Folders that could not be read. Bundles may be in them.
    pub(super) unreadable: Vec<UnreadableFolder>,
    /// Whether the source is a folder without any contents.
    pub(super) is_empty: bool,
}

/// A folder that could not be read.
#[derive(Debug)]
pub(super) struct UnreadableFolder {
    pub(super) path: PathBuf,
    pub(super) error: io::Error,
}

/// Returns the bundles of a source, as far as its folders can be read.
pub(super) fn scan_source(source: &Path) -> FolderScan {
    let mut scan = FolderScan::default();
    let is_bundle = scan.is_bundle(source);
    if is_bundle {
        scan.bundles.push(BundleFolder { folder: source.to_owned(), version: 1 });
    } else if scan.unreadable.is_empty() {
        scan.add_repository(source);
    }
    scan.bundles.sort();
    scan
}

impl FolderScan {
    /// Returns whether this folder could not be read, or one that contains it.
    pub(super) fn is_unreadable(&self, folder: &Path) -> bool {
        self.unreadable.iter().any(|unreadable| folder.starts_with(&unreadable.path))
    }

    /// Adds what was found in another source.
    pub(super) fn append(&mut self, other: Self) {
        self.bundles.extend(other.bundles);
        self.unreadable.extend(other.unreadable);
    }

    fn add_repository(&mut self, source: &Path) {
        let entries = match list_entries(source) {
            Ok(entries) => entries,
            Err(error) => return self.add_unreadable(source, error),
        };
        self.is_empty = entries.iter().all(|entry| is_incidental(entry));
        for folder in entries {
            if self.is_bundle(&folder) {
                self.bundles.push(BundleFolder { folder, version: 1 });
            } else {
                self.add_versions(&folder);
            }
        }
    }

    /// Adds the versions of a bundle. A folder that is gone, or a file, has none.
    fn add_versions(&mut self, folder: &Path) {
        match list_entries(folder) {
            Ok(entries) => {
                for folder in entries {
                    if let Some(version) = version_of(&folder)
                        && self.is_bundle(&folder)
                    {
                        self.bundles.push(BundleFolder { folder, version });
                    }
                }
            }
            Err(error) if is_absence(&error) => {}
            Err(error) => self.add_unreadable(folder, error),
        }
    }

    /// Returns whether a folder is a bundle; notes a folder of which this cannot be known.
    fn is_bundle(&mut self, folder: &Path) -> bool {
        match fs::metadata(folder.join(MANIFEST_FILE)) {
            Ok(metadata) => metadata.is_file(),
            Err(error) if is_absence(&error) => false,
            Err(error) => {
                self.add_unreadable(folder, error);
                false
            }
        }
    }

    fn add_unreadable(&mut self, path: &Path, error: io::Error) {
        if !self.is_unreadable(path) {
            self.unreadable.push(UnreadableFolder { path: path.to_owned(), error });
        }
    }
}

impl UnreadableFolder {
    pub(super) fn to_error(&self) -> LoadError {
        let path = self.path.clone();
        // An error of the system cannot be cloned.
        let source = io::Error::new(self.error.kind(), self.error.to_string());
        LoadError::Bundle { path: path.clone(), source: lopside_bundle::BundleError::Io { path, source } }
    }
}

/// Returns whether an error means that something does not exist.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns whether an entry does not make a folder non-empty: a hidden one, or one that a file system has created.
fn is_incidental(entry: &Path) -> bool {
    entry.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with('.') || name == "lost+found"
    })
}

fn version_of(folder: &Path) -> Option<u32> {
    folder.file_name()?.to_str()?.parse().ok()
}

fn list_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(folder: &Path, name: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(MANIFEST_FILE), format!("{{\"name\":\"{name}\"}}")).unwrap();
    }

    #[test]
    fn a_repository_has_bundles_with_and_without_versions() {
        let root = tempfile::tempdir().unwrap();
        bundle(&root.path().join("a"), "first");
        bundle(&root.path().join("b/1"), "second");
        bundle(&root.path().join("b/12"), "second");
        bundle(&root.path().join("b/old"), "no version");
        fs::create_dir_all(root.path().join("empty")).unwrap();
        let FolderScan { bundles: found, unreadable, is_empty } = scan_source(root.path());
        assert!(unreadable.is_empty() && !is_empty);
        let names_and_versions: Vec<_> = found.iter().map(|found| (found.name(), found.version)).collect();
        let expected = [("first", 1), ("second", 1), ("second", 12)];
        assert_eq!(names_and_versions, expected.map(|(name, version)| (name.to_owned(), version)));
        let broken = BundleFolder { folder: root.path().join("b/12"), version: 12 };
        let before = broken.fingerprint();
        fs::write(broken.folder.join(MANIFEST_FILE), "{").unwrap();
        assert_eq!(broken.name(), "b");
        assert_ne!(broken.fingerprint(), before);
        assert_eq!(scan_source(&root.path().join("a")).bundles.len(), 1);
    }

    #[test]
    fn a_source_that_cannot_be_read_is_not_an_empty_one() {
        let root = tempfile::tempdir().unwrap();
        let empty = scan_source(root.path());
        assert!(empty.is_empty && empty.unreadable.is_empty());
        fs::create_dir(root.path().join("lost+found")).unwrap();
        fs::write(root.path().join(".keep"), "").unwrap();
        assert!(scan_source(root.path()).is_empty);
        fs::write(root.path().join("notes.txt"), "").unwrap();
        assert!(!scan_source(root.path()).is_empty);
        // A missing folder, a file, and a folder whose links never end.
        std::os::unix::fs::symlink("loop", root.path().join("loop")).unwrap();
        for name in ["nowhere", "notes.txt", "loop"] {
            let source = root.path().join(name);
            let scan = scan_source(&source);
            assert!(!scan.is_empty && scan.bundles.is_empty(), "{name}");
            assert!(scan.is_unreadable(&source.join("a/1")) && !scan.is_unreadable(root.path()), "{name}");
            assert!(scan.unreadable[0].to_error().to_string().contains(name));
        }
        // Within a source, a file is no bundle, but a folder that cannot be read may be one.
        let scan = scan_source(root.path());
        assert!(scan.is_unreadable(&root.path().join("loop")) && scan.unreadable.len() == 1);
    }
}
