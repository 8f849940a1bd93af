//! The registry of the served bundles, which can change while the server runs.
//!
//! A change first starts the new engines, each of which runs its model once, and then replaces the
//! [`Catalog`] as a whole. Requests that hold the old catalog finish on it; its engines end with the last of
//! these requests. A bundle that cannot be started does not change anything.

mod catalog;
mod folders;
mod metrics;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use lopside_bundle::{BundlePart, image_codec::AnyBundle};
use tokio::sync::watch;

use crate::{BatchSettings, DecodeError, LoadError, Runtime, heads::HeadLoader, served_bundle::ServedBundle};

pub use catalog::{BundleVersion, Catalog};
use folders::{BundleFolder, Fingerprint, bundles_in};

/// The registry of the served bundles.
#[derive(Debug)]
pub struct Registry {
    sources: Vec<PathBuf>,
    loader: HeadLoader,
    state: Mutex<RegistryState>,
    catalog: ArcSwap<Catalog>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct RegistryState {
    loaded: Vec<LoadedBundle>,
    /// Bundles that were refused at the last attempt; they are not tried again until their files change.
    refused: Vec<RefusedBundle>,
    /// Names of bundles that were unloaded by request.
    unloaded: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct LoadedBundle {
    found: BundleFolder,
    fingerprint: Fingerprint,
    served: Arc<ServedBundle>,
}

#[derive(Debug)]
struct RefusedBundle {
    found: BundleFolder,
    fingerprint: Fingerprint,
    reason: String,
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

impl Registry {
    /// Loads the bundles in these folders, or in their subfolders, and starts the engines of their heads.
    ///
    /// # Errors
    /// [`LoadError`] with the name of the bundle and head that was refused.
    pub fn load(sources: &[PathBuf], runtime: &Runtime, batching: BatchSettings) -> Result<Self, LoadError> {
        let loader = HeadLoader { runtime: runtime.clone(), batching };
        let mut loaded = Vec::new();
        for source in sources {
            let found = bundles_in(source)?;
            if found.is_empty() {
                return Err(LoadError::EmptyFolder { path: source.clone() });
            }
            for found in found {
                let bundle = start_bundle(&loader, found)?;
                check_name(&loaded, &bundle)?;
                loaded.push(bundle);
            }
        }
        let catalog = ArcSwap::from_pointee(catalog_of(&loaded));
        let state = Mutex::new(RegistryState { loaded, ..RegistryState::default() });
        Ok(Self { sources: sources.to_vec(), loader, state, catalog, changes: watch::Sender::default() })
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
    /// loaded.
    ///
    /// # Errors
    /// [`DecodeError::UnknownBundle`] if no folder contains the bundle, [`DecodeError::BundleRefused`] if it cannot
    /// be served; the versions that were served before remain.
    pub fn load_bundle(&self, name: &str) -> Result<(), DecodeError> {
        let mut state = self.lock();
        let found: Vec<BundleFolder> =
            self.scan_folders().into_iter().filter(|found| found.name() == name).collect();
        if found.is_empty() {
            return Err(DecodeError::UnknownBundle(name.to_owned()));
        }
        let mut others: Vec<LoadedBundle> =
            state.loaded.iter().filter(|bundle| bundle.served.name() != name).cloned().collect();
        for found in found {
            let bundle = start_bundle(&self.loader, found).and_then(|bundle| {
                check_name(&others, &bundle)?;
                Ok(bundle)
            });
            others.push(bundle.map_err(|error| {
                report_refused(name, &error);
                DecodeError::BundleRefused { bundle: name.to_owned(), reason: error.to_string() }
            })?);
        }
        state.unloaded.remove(name);
        self.replace_catalog(&mut state, others);
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
    /// logged, and the previous state of its folder remains served. Blocks until all bundles are loaded;
    /// returns whether anything changed.
    pub fn refresh(&self) -> bool {
        let mut state = self.lock();
        let mut next: Vec<LoadedBundle> = Vec::new();
        let mut refused = Vec::new();
        for found in self.scan_folders() {
            let (name, fingerprint) = (found.name(), found.fingerprint());
            if state.unloaded.contains(&name) {
                continue;
            }
            let loaded = state.loaded.iter().find(|bundle| bundle.found == found);
            if let Some(unchanged) = loaded.filter(|bundle| bundle.fingerprint == fingerprint) {
                next.push(unchanged.clone());
                continue;
            }
            let last = state.refused.iter().position(|last| last.found == found);
            let last = last.map(|index| state.refused.swap_remove(index));
            if let Some(unchanged) = last.filter(|last| last.fingerprint == fingerprint) {
                next.extend(loaded_before(&state, &found));
                refused.push(unchanged);
                continue;
            }
            let started = start_bundle(&self.loader, found.clone());
            match started.and_then(|bundle| check_name(&next, &bundle).map(|()| bundle)) {
                Ok(bundle) => next.push(bundle),
                Err(error) => {
                    report_refused(&name, &error);
                    next.extend(loaded_before(&state, &found));
                    refused.push(RefusedBundle { found, fingerprint, reason: error.to_string() });
                }
            }
        }
        state.refused = refused;
        let is_unchanged = next.len() == state.loaded.len()
            && next.iter().zip(&state.loaded).all(|(a, b)| Arc::ptr_eq(&a.served, &b.served));
        if !is_unchanged {
            self.replace_catalog(&mut state, next);
        }
        !is_unchanged
    }

    /// Returns every bundle in the folders, and the served bundles whose folders were removed.
    pub fn list_bundles(&self) -> Vec<IndexEntry> {
        let state = self.lock();
        let mut index: Vec<IndexEntry> =
            self.scan_folders().iter().map(|found| index_entry(&state, found)).collect();
        for bundle in &state.loaded {
            let (name, version) = (bundle.served.name(), bundle.found.version);
            if !index.iter().any(|row| row.name == name && row.version == version) {
                index.push(IndexEntry { name: name.to_owned(), version, ready: true, reason: String::new() });
            }
        }
        index
    }

    fn replace_catalog(&self, state: &mut RegistryState, loaded: Vec<LoadedBundle>) {
        state.loaded = loaded;
        self.catalog.store(Arc::new(catalog_of(&state.loaded)));
        self.changes.send_replace(());
    }

    fn scan_folders(&self) -> Vec<BundleFolder> {
        // A folder that cannot be listed counts as empty; the index adds the bundles that are still served.
        self.sources.iter().flat_map(|source| bundles_in(source).unwrap_or_default()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn loaded_before(state: &RegistryState, found: &BundleFolder) -> Option<LoadedBundle> {
    state.loaded.iter().find(|bundle| bundle.found == *found).cloned()
}

fn index_entry(state: &RegistryState, found: &BundleFolder) -> IndexEntry {
    let served = loaded_before(state, found);
    let name = served.as_ref().map_or_else(|| found.name(), |bundle| bundle.served.name().to_owned());
    let refused = state.refused.iter().find(|refused| refused.found == *found);
    let reason = match (&served, refused) {
        (Some(_), _) => String::new(),
        (None, Some(refused)) => refused.reason.clone(),
        (None, None) if state.unloaded.contains(&name) => "unloaded".to_owned(),
        (None, None) => "not loaded".to_owned(),
    };
    IndexEntry { name, version: found.version, ready: served.is_some(), reason }
}

fn start_bundle(loader: &HeadLoader, found: BundleFolder) -> Result<LoadedBundle, LoadError> {
    // Computed before loading, so that a change during the load is detected at the next check.
    let fingerprint = found.fingerprint();
    let bundle = load(&found.folder)?;
    let served = Arc::new(ServedBundle::start(bundle, loader)?);
    let (name, heads) = (served.name(), served.head_count());
    let space = served.latent_space();
    tracing::info!(bundle = name, version = found.version, latent_space = %space, heads, "bundle loaded");
    metrics::count_bundle_change(name, "loaded");
    Ok(LoadedBundle { found, fingerprint, served })
}

/// Logs and counts a bundle that cannot be served.
fn report_refused(name: &str, error: &LoadError) {
    tracing::warn!(bundle = name, %error, "bundle refused");
    metrics::count_bundle_change(name, "refused");
}

fn load(folder: &Path) -> Result<AnyBundle, LoadError> {
    AnyBundle::load(folder, BundlePart::Heads)
        .map_err(|source| LoadError::Bundle { path: folder.to_owned(), source })
}

fn check_name(loaded: &[LoadedBundle], bundle: &LoadedBundle) -> Result<(), LoadError> {
    let (name, version) = (bundle.served.name(), bundle.found.version);
    if loaded.iter().any(|other| other.served.name() == name && other.found.version == version) {
        return Err(LoadError::DuplicateBundle { name: name.to_owned() });
    }
    Ok(())
}

fn catalog_of(loaded: &[LoadedBundle]) -> Catalog {
    Catalog::from_versions(loaded.iter().map(|bundle| BundleVersion {
        number: bundle.found.version,
        folder: bundle.found.folder.clone(),
        served: Arc::clone(&bundle.served),
    }))
}
