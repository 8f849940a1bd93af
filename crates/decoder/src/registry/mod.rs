//! The registry of the served bundles, which can change while the server runs.
//!
//! A change first starts the new engines, each of which runs its model once, and then replaces the
//! [`Catalog`] as a whole. Requests that hold the old catalog finish on it; its engines end with the last of
//! these requests. A bundle that cannot be started does not change anything.
//!
//! A folder that cannot be read is not an empty folder: the bundles that were loaded from it stay.

mod catalog;
mod folders;
mod metrics;
mod start;
mod state;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{BatchSettings, DecodeError, LoadError, Runtime, heads::HeadLoader};

pub use catalog::{BundleVersion, Catalog};
use folders::{BundleFolder, FolderScan, scan_source};
use start::start_bundle;
pub use state::IndexEntry;
use state::{LoadedBundle, RefusedBundle, RegistryState, folder_name};

/// The registry of the served bundles.
#[derive(Debug)]
pub struct Registry {
    sources: Vec<PathBuf>,
    loader: HeadLoader,
    state: Mutex<RegistryState>,
    catalog: ArcSwap<Catalog>,
    changes: watch::Sender<()>,
}

impl Registry {
    /// Loads the bundles in these folders, or in their subfolders, and starts the engines of their heads.
    ///
    /// # Errors
    /// [`LoadError`] for the first bundle or folder that cannot be served.
    pub fn load(sources: &[PathBuf], runtime: &Runtime, batching: BatchSettings) -> Result<Self, LoadError> {
        let loader = HeadLoader { runtime: runtime.clone(), batching };
        let (mut loaded, mut scan) = (Vec::new(), FolderScan::default());
        for source in sources {
            let found = scan_source(source);
            check_source(source, &found)?;
            if found.bundles.is_empty() {
                return Err(LoadError::NoBundle { path: source.clone() });
            }
            for found in &found.bundles {
                let bundle = start_bundle(&loader, found.clone(), &loaded)?;
                loaded.push(bundle);
            }
            scan.append(found);
        }
        Ok(Self::new(sources, loader, loaded, (Vec::new(), &scan)))
    }

    /// Loads the bundles in these folders, like [`load`](Self::load), but continues after one that cannot be served. It
    /// is logged, counted and listed with the reason. Folders without any contents are allowed.
    ///
    /// # Errors
    /// [`LoadError::NothingLoaded`] if nothing can be served and something was refused.
    pub fn load_valid(
        sources: &[PathBuf],
        runtime: &Runtime,
        batching: BatchSettings,
    ) -> Result<Self, LoadError> {
        let loader = HeadLoader { runtime: runtime.clone(), batching };
        let (mut loaded, mut refused, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        let mut scan = FolderScan::default();
        for source in sources {
            let found = scan_source(source);
            if let Err(error) = check_source(source, &found) {
                // A folder that cannot be read is logged below.
                if matches!(error, LoadError::NoBundle { .. }) {
                    tracing::error!(%error, "folder refused");
                }
                metrics::count_bundle_change(&folder_name(source), "refused");
                reasons.push(error.to_string());
            }
            for folder in &found.bundles {
                let fingerprint = folder.fingerprint();
                match start_bundle(&loader, folder.clone(), &loaded) {
                    Ok(bundle) => loaded.push(bundle),
                    Err(error) => {
                        let bundle = RefusedBundle::report(folder.clone(), fingerprint, &error);
                        reasons.push(bundle.reason.clone());
                        refused.push(bundle);
                    }
                }
            }
            scan.append(found);
        }
        if loaded.is_empty() && !reasons.is_empty() {
            return Err(LoadError::NothingLoaded { reasons });
        }
        if loaded.is_empty() {
            tracing::warn!(
                "nothing is served: the folders are empty; load bundles as soon as they are there"
            );
        }
        Ok(Self::new(sources, loader, loaded, (refused, &scan)))
    }

    fn new(
        sources: &[PathBuf],
        loader: HeadLoader,
        loaded: Vec<LoadedBundle>,
        (refused, scan): (Vec<RefusedBundle>, &FolderScan),
    ) -> Self {
        let mut state = RegistryState::from_loaded(loaded);
        state.set_refused(refused, scan);
        let catalog = ArcSwap::from_pointee(state.to_catalog());
        let state = Mutex::new(state);
        Self { sources: sources.to_vec(), loader, state, catalog, changes: watch::Sender::default() }
    }

    /// Returns the bundles that are served now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Returns a receiver that is notified of every change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Returns the batching settings.
    #[must_use]
    pub fn batching(&self) -> BatchSettings {
        self.loader.batching
    }

    /// Loads all versions of a bundle, or reloads them if the bundle is served already. Blocks until they are
    /// loaded. Versions whose folders cannot be read stay as they are.
    ///
    /// # Errors
    /// [`DecodeError::UnknownBundle`] if no folder contains the bundle, [`DecodeError::BundleRefused`] if it cannot
    /// be served or found; the versions that were served before remain.
    pub fn load_bundle(&self, name: &str) -> Result<(), DecodeError> {
        let mut state = self.lock();
        let scan = self.scan_folders();
        let found: Vec<&BundleFolder> = scan.bundles.iter().filter(|found| found.name() == name).collect();
        if found.is_empty() {
            return Err(not_found(name, &scan));
        }
        let mut next: Vec<LoadedBundle> =
            state.loaded.iter().filter(|bundle| bundle.served.name() != name).cloned().collect();
        let unreadable = state.loaded_from_unreadable(&scan);
        next.extend(unreadable.into_iter().filter(|bundle| bundle.served.name() == name));
        for &found in &found {
            let fingerprint = found.fingerprint();
            match start_bundle(&self.loader, found.clone(), &next) {
                Ok(bundle) => next.push(bundle),
                Err(error) => {
                    state.add_refused(RefusedBundle::report(found.clone(), fingerprint, &error));
                    let (bundle, reason) = (name.to_owned(), error.to_string());
                    return Err(DecodeError::BundleRefused { bundle, reason });
                }
            }
        }
        state.unloaded.remove(name);
        state.forget_refusals(&found);
        self.replace_catalog(&mut state, next);
        Ok(())
    }

    /// Stops serving a bundle. Requests that already use it are finished.
    ///
    /// # Errors
    /// [`DecodeError::UnknownBundle`].
    pub fn unload_bundle(&self, name: &str) -> Result<(), DecodeError> {
        let mut state = self.lock();
        let rest: Vec<LoadedBundle> =
            state.loaded.iter().filter(|bundle| bundle.served.name() != name).cloned().collect();
        if rest.len() == state.loaded.len() {
            return Err(DecodeError::UnknownBundle(name.to_owned()));
        }
        tracing::info!(bundle = name, "bundle unloaded");
        metrics::count_bundle_change(name, "unloaded");
        state.unloaded.insert(name.to_owned());
        self.replace_catalog(&mut state, rest);
        Ok(())
    }

    /// Checks the folders: loads new and changed bundles, and unloads removed ones. A refused bundle is
    /// logged, and the previous state of its folder remains served, as does what was loaded from a folder that cannot
    /// be read. Blocks until all bundles are loaded; returns whether anything changed.
    pub fn refresh(&self) -> bool {
        let mut state = self.lock();
        let scan = self.scan_folders();
        let (mut next, mut refused) = (state.loaded_from_unreadable(&scan), Vec::new());
        for found in &scan.bundles {
            let fingerprint = found.fingerprint();
            if state.unloaded.contains(&found.name()) {
                continue;
            }
            let loaded = state.loaded_from(found).cloned();
            if let Some(unchanged) = loaded.clone().filter(|bundle| bundle.fingerprint == fingerprint) {
                next.push(unchanged);
                continue;
            }
            if let Some(unchanged) = state.take_refusal(found, &fingerprint) {
                next.extend(loaded);
                refused.push(unchanged);
                continue;
            }
            match start_bundle(&self.loader, found.clone(), &next) {
                Ok(bundle) => next.push(bundle),
                Err(error) => {
                    next.extend(loaded);
                    refused.push(RefusedBundle::report(found.clone(), fingerprint, &error));
                }
            }
        }
        state.set_refused(refused, &scan);
        let is_unchanged = next.len() == state.loaded.len()
            && next
                .iter()
                .all(|bundle| state.loaded.iter().any(|old| Arc::ptr_eq(&old.served, &bundle.served)));
        if !is_unchanged {
            self.replace_catalog(&mut state, next);
        }
        !is_unchanged
    }

    /// Returns every bundle in the folders, the served bundles whose folders were removed, and the folders that cannot
    /// be read. Each entry that is not served has the reason.
    pub fn list_bundles(&self) -> Vec<IndexEntry> {
        let state = self.lock();
        state.list_bundles(&self.scan_folders())
    }

    /// Returns the reason of each bundle and folder that cannot be served; if `is_strict`, also of folders without any
    /// contents.
    pub fn refusals(&self, is_strict: bool) -> Vec<String> {
        let sources = self.sources.iter().filter_map(|source| {
            let scan = scan_source(source);
            let is_refused_empty = is_strict && scan.is_empty;
            let no_bundle = is_refused_empty.then(|| LoadError::NoBundle { path: source.clone() });
            no_bundle.or_else(|| check_source(source, &scan).err())
        });
        let sources = sources.map(|error| error.to_string());
        sources.chain(self.lock().refusal_reasons()).collect()
    }

    fn replace_catalog(&self, state: &mut RegistryState, loaded: Vec<LoadedBundle>) {
        state.loaded = loaded;
        self.catalog.store(Arc::new(state.to_catalog()));
        self.changes.send_replace(());
    }

    fn scan_folders(&self) -> FolderScan {
        let mut scan = FolderScan::default();
        self.sources.iter().for_each(|source| scan.append(scan_source(source)));
        scan
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks that a source can be read, and that it contains a bundle or nothing at all.
fn check_source(source: &Path, scan: &FolderScan) -> Result<(), LoadError> {
    if let Some(unreadable) = scan.unreadable.iter().find(|unreadable| unreadable.path == *source) {
        return Err(unreadable.to_error());
    }
    if scan.bundles.is_empty() && !scan.is_empty {
        return Err(LoadError::NoBundle { path: source.to_owned() });
    }
    Ok(())
}

/// Returns the error for a bundle that no folder contains, as far as the folders can be read.
fn not_found(name: &str, scan: &FolderScan) -> DecodeError {
    match scan.unreadable.first() {
        None => DecodeError::UnknownBundle(name.to_owned()),
        Some(folder) => {
            let reason = format!("it cannot be found, and a folder cannot be read: {}", folder.to_error());
            DecodeError::BundleRefused { bundle: name.to_owned(), reason }
        }
    }
}
