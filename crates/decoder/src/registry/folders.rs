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

/// Returns the bundles of a source, ordered by folder.
///
/// # Errors
/// [`LoadError::Bundle`] when the folder cannot be listed.
pub(super) fn bundles_in(source: &Path) -> Result<Vec<BundleFolder>, LoadError> {
    if is_bundle(source) {
        return Ok(vec![BundleFolder { folder: source.to_owned(), version: 1 }]);
    }
    let mut found = Vec::new();
    for folder in list_entries(source).map_err(|error| folder_error(source, error))? {
        if is_bundle(&folder) {
            found.push(BundleFolder { folder, version: 1 });
        } else {
            found.extend(versions_in(&folder));
        }
    }
    found.sort();
    Ok(found)
}

fn versions_in(folder: &Path) -> impl Iterator<Item = BundleFolder> + use<> {
    let folders = list_entries(folder).unwrap_or_default();
    folders.into_iter().filter(|folder| is_bundle(folder)).filter_map(|folder| {
        let version = version_of(&folder)?;
        Some(BundleFolder { folder, version })
    })
}

fn version_of(folder: &Path) -> Option<u32> {
    folder.file_name()?.to_str()?.parse().ok()
}

fn is_bundle(folder: &Path) -> bool {
    folder.join(MANIFEST_FILE).is_file()
}

fn list_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn folder_error(folder: &Path, source: io::Error) -> LoadError {
    let path = folder.to_owned();
    LoadError::Bundle { path: path.clone(), source: lopside_bundle::BundleError::Io { path, source } }
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
        let found = bundles_in(root.path()).unwrap();
        let names_and_versions: Vec<_> = found.iter().map(|found| (found.name(), found.version)).collect();
        let expected = [("first", 1), ("second", 1), ("second", 12)];
        assert_eq!(names_and_versions, expected.map(|(name, version)| (name.to_owned(), version)));
        let broken = BundleFolder { folder: root.path().join("b/12"), version: 12 };
        let before = broken.fingerprint();
        fs::write(broken.folder.join(MANIFEST_FILE), "{").unwrap();
        assert_eq!(broken.name(), "b");
        assert_ne!(broken.fingerprint(), before);
        assert_eq!(bundles_in(&root.path().join("a")).unwrap().len(), 1);
        assert!(bundles_in(&root.path().join("nowhere")).is_err());
    }
}
