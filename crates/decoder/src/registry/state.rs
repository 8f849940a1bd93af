//! The bundles that are loaded and those that are not.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    catalog::{BundleVersion, Catalog},
    folders::{BundleFolder, Fingerprint, FolderScan},
    metrics::{self, RefusedGauge},
};
use crate::{LoadError, served_bundle::ServedBundle};

/// The state of a registry.
#[derive(Debug, Default)]
pub(super) struct RegistryState {
    pub(super) loaded: Vec<LoadedBundle>,
    /// Bundles that were refused at the last attempt; they are not tried again until their files change.
    refused: Vec<RefusedBundle>,
    /// Names of bundles that were unloaded by request.
    pub(super) unloaded: BTreeSet<String>,
    /// Folders that could not be read at the last scan, with the reasons.
    unreadable: BTreeMap<PathBuf, String>,
    gauge: RefusedGauge,
}

#[derive(Debug, Clone)]
pub(super) struct LoadedBundle {
    pub(super) found: BundleFolder,
    pub(super) fingerprint: Fingerprint,
    pub(super) served: Arc<ServedBundle>,
}

#[derive(Debug)]
pub(super) struct RefusedBundle {
    pub(super) found: BundleFolder,
    pub(super) fingerprint: Fingerprint,
    /// The reason, with the folder.
    pub(super) reason: String,
}

/// One entry of the repository index, served or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The name of the bundle.
    pub name: String,
    /// The version of the bundle.
    pub version: u32,
    /// Whether the bundle is served.
    pub ready: bool,
    /// The reason why the entry is not ready; empty if it is.
    pub reason: String,
}

impl IndexEntry {
    /// Returns the state, as the Open Inference Protocol names it.
    #[must_use]
    pub fn state(&self) -> &'static str {
        if self.ready { "READY" } else { "UNAVAILABLE" }
    }
}

impl RegistryState {
    /// Creates the state of a registry that has refused nothing.
    pub(super) fn from_loaded(loaded: Vec<LoadedBundle>) -> Self {
        Self { loaded, ..Self::default() }
    }

    /// Returns the bundle that was loaded from this folder.
    pub(super) fn loaded_from(&self, found: &BundleFolder) -> Option<&LoadedBundle> {
        self.loaded.iter().find(|bundle| bundle.found == *found)
    }

    /// Returns the bundles that were loaded from folders that cannot be read now. They stay: nothing says that they
    /// were removed.
    pub(super) fn loaded_from_unreadable(&self, scan: &FolderScan) -> Vec<LoadedBundle> {
        let unreadable = self.loaded.iter().filter(|bundle| {
            !scan.bundles.contains(&bundle.found) && scan.is_unreadable(&bundle.found.folder)
        });
        unreadable.cloned().collect()
    }

    /// Removes and returns the refusal of this folder, if its files are still the same.
    pub(super) fn take_refusal(
        &mut self,
        found: &BundleFolder,
        fingerprint: &Fingerprint,
    ) -> Option<RefusedBundle> {
        let index = self.refused.iter().position(|refused| refused.found == *found)?;
        Some(self.refused.swap_remove(index)).filter(|refused| refused.fingerprint == *fingerprint)
    }

    /// Replaces the refused bundles by those of a scan, and logs folders that can no longer or can again be read.
    pub(super) fn set_refused(&mut self, refused: Vec<RefusedBundle>, scan: &FolderScan) {
        self.refused = refused;
        let unreadable = scan.unreadable.iter();
        let unreadable: BTreeMap<PathBuf, String> =
            unreadable.map(|folder| (folder.path.clone(), folder.error.to_string())).collect();
        for (path, reason) in unreadable.iter().filter(|(path, _)| !self.unreadable.contains_key(*path)) {
            tracing::error!(folder = %path.display(), reason, "a folder of bundles cannot be read: bundles that were \
                loaded from it stay; check that it exists and that the server may read it");
        }
        for path in self.unreadable.keys().filter(|path| !unreadable.contains_key(*path)) {
            tracing::info!(folder = %path.display(), "a folder of bundles can be read again");
        }
        self.unreadable = unreadable;
        self.update_gauge();
    }

    /// Adds a refused bundle, in place of an earlier refusal of its folder.
    pub(super) fn add_refused(&mut self, refused: RefusedBundle) {
        self.forget_refusals(&[&refused.found]);
        self.refused.push(refused);
        self.update_gauge();
    }

    /// Removes the refusals of folders whose bundles are loaded now.
    pub(super) fn forget_refusals(&mut self, folders: &[&BundleFolder]) {
        self.refused.retain(|refused| !folders.contains(&&refused.found));
        self.update_gauge();
    }

    /// Returns the reasons of the refused bundles.
    pub(super) fn refusal_reasons(&self) -> Vec<String> {
        self.refused.iter().map(|refused| refused.reason.clone()).collect()
    }

    /// Returns the entries of these folders, of served bundles whose folders were removed, and of folders that cannot
    /// be read.
    pub(super) fn list_bundles(&self, scan: &FolderScan) -> Vec<IndexEntry> {
        let mut index: Vec<IndexEntry> = scan.bundles.iter().map(|found| self.index_entry(found)).collect();
        for bundle in &self.loaded {
            let (name, version) = (bundle.served.name(), bundle.found.version);
            if !index.iter().any(|row| row.name == name && row.version == version) {
                index.push(IndexEntry { name: name.to_owned(), version, ready: true, reason: String::new() });
            }
        }
        let unreadable = scan.unreadable.iter().map(|folder| IndexEntry {
            name: folder_name(&folder.path),
            version: 1,
            ready: false,
            reason: folder.to_error().to_string(),
        });
        index.extend(unreadable);
        index
    }

    fn update_gauge(&mut self) {
        self.gauge.set(self.refused.len() + self.unreadable.len());
    }

    fn index_entry(&self, found: &BundleFolder) -> IndexEntry {
        let served = self.loaded_from(found);
        let name = served.map_or_else(|| found.name(), |bundle| bundle.served.name().to_owned());
        let refused = self.refused.iter().find(|refused| refused.found == *found);
        let reason = match (served, refused) {
            (Some(_), _) => String::new(),
            (None, Some(refused)) => refused.reason.clone(),
            (None, None) if self.unloaded.contains(&name) => "unloaded".to_owned(),
            (None, None) => "not loaded".to_owned(),
        };
        IndexEntry { name, version: found.version, ready: served.is_some(), reason }
    }

    /// Returns the snapshot of the loaded bundles for requests.
    pub(super) fn to_catalog(&self) -> Catalog {
        Catalog::from_versions(self.loaded.iter().map(|bundle| BundleVersion {
            number: bundle.found.version,
            folder: bundle.found.folder.clone(),
            served: Arc::clone(&bundle.served),
        }))
    }
}

impl RefusedBundle {
    /// Logs and counts a bundle that cannot be served.
    pub(super) fn report(found: BundleFolder, fingerprint: Fingerprint, error: &LoadError) -> Self {
        let name = found.name();
        tracing::error!(
            bundle = name,
            folder = %found.folder.display(),
            %error,
            "bundle refused: correct or remove the folder, and load the bundle again"
        );
        metrics::count_bundle_change(&name, "refused");
        let reason = match error {
            // Errors of a bundle's files begin with its folder.
            LoadError::Bundle { .. } => error.to_string(),
            _ => format!("{}: {error}", found.folder.display()),
        };
        Self { found, fingerprint, reason }
    }
}

/// Returns the last part of a path.
pub(super) fn folder_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
