//! The bundles that are served, and how they change while they are.
//!
//! A change starts the new engines first, each of which runs its model once, and then replaces the [`Catalog`] as a
//! whole. Requests that found the old one finish on it; its engines end with the last of them. What cannot be started
//! changes nothing.

mod catalog;
mod folders;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use lopside_bundle::{Part, picture::AnyBundle};
use tokio::sync::watch;

use crate::{Batching, Runtime, ServeError, StartError, heads::Starter, metrics, served::Served};

pub(crate) use catalog::{Catalog, Version};
use folders::{Fingerprint, Found, bundles_in};

/// The bundles that are served.
#[derive(Debug)]
pub struct Registry {
    sources: Vec<PathBuf>,
    starter: Starter,
    state: Mutex<State>,
    catalog: ArcSwap<Catalog>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    loaded: Vec<Loaded>,
    /// What was refused the last time, so that it is not tried again before it has changed.
    refused: Vec<Refused>,
    /// Names that were unloaded on purpose.
    unloaded: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Loaded {
    found: Found,
    fingerprint: Fingerprint,
    served: Arc<Served>,
}

#[derive(Debug)]
struct Refused {
    found: Found,
    fingerprint: Fingerprint,
    reason: String,
}

/// One bundle of the repository, served or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) ready: bool,
    /// Why it is not ready.
    pub(crate) reason: String,
}

impl Indexed {
    /// Its state in the protocol's word.
    pub(crate) fn state(&self) -> &'static str {
        if self.ready { "READY" } else { "UNAVAILABLE" }
    }
}

impl Registry {
    /// Loads the bundles of these folders, or of the folders inside them, and starts the engines of their heads.
    ///
    /// # Errors
    /// [`StartError`] naming the bundle and head that was refused.
    pub fn load(sources: &[PathBuf], runtime: &Runtime, batching: Batching) -> Result<Self, StartError> {
        let starter = Starter { runtime: runtime.clone(), batching };
        let mut loaded = Vec::new();
        for source in sources {
            let found = bundles_in(source)?;
            if found.is_empty() {
                return Err(StartError::EmptyFolder { path: source.clone() });
            }
            for found in found {
                let bundle = start(&starter, found)?;
                check_name(&loaded, &bundle)?;
                loaded.push(bundle);
            }
        }
        let catalog = ArcSwap::from_pointee(catalog_of(&loaded));
        let state = Mutex::new(State { loaded, ..State::default() });
        Ok(Self { sources: sources.to_vec(), starter, state, catalog, changes: watch::Sender::default() })
    }

    /// What is served now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Told whenever something else is served.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// How requests become runs.
    #[must_use]
    pub fn batching(&self) -> Batching {
        self.starter.batching
    }

    /// Loads all versions of a bundle, again when it is served already. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`ServeError::UnknownBundle`] when no folder has it, [`ServeError::Refused`] when it cannot be served; what was
    /// served before is served on.
    pub(crate) fn load_bundle(&self, name: &str) -> Result<(), ServeError> {
        let mut state = self.lock();
        let found: Vec<Found> = self.found().into_iter().filter(|found| found.name() == name).collect();
        if found.is_empty() {
            return Err(ServeError::UnknownBundle(name.to_owned()));
        }
        let mut others: Vec<Loaded> =
            state.loaded.iter().filter(|bundle| bundle.served.name() != name).cloned().collect();
        for found in found {
            let bundle = start(&self.starter, found).and_then(|bundle| {
                check_name(&others, &bundle)?;
                Ok(bundle)
            });
            others.push(bundle.map_err(|error| {
                tracing::warn!(bundle = name, %error, "bundle refused");
                metrics::bundle(name, "refused");
                ServeError::Refused { bundle: name.to_owned(), reason: error.to_string() }
            })?);
        }
        state.unloaded.remove(name);
        self.replace(&mut state, others);
        Ok(())
    }

    /// Serves a bundle no longer. Requests that have found it are finished.
    ///
    /// # Errors
    /// [`ServeError::UnknownBundle`].
    pub(crate) fn unload_bundle(&self, name: &str) -> Result<(), ServeError> {
        let mut state = self.lock();
        let rest: Vec<Loaded> =
            state.loaded.iter().filter(|bundle| bundle.served.name() != name).cloned().collect();
        if rest.len() == state.loaded.len() {
            return Err(ServeError::UnknownBundle(name.to_owned()));
        }
        tracing::info!(bundle = name, "bundle unloaded");
        metrics::bundle(name, "unloaded");
        state.unloaded.insert(name.to_owned());
        self.replace(&mut state, rest);
        Ok(())
    }

    /// Follows the folders: loads what is new or has changed, unloads what has gone. What is refused is logged, and
    /// what was served in its place is served on. Blocks for as long as that takes; tells whether anything changed.
    pub fn refresh(&self) -> bool {
        let mut state = self.lock();
        let found = self.found();
        let mut next: Vec<Loaded> = Vec::new();
        let mut refused = Vec::new();
        for found in found {
            let (name, fingerprint) = (found.name(), found.fingerprint());
            if state.unloaded.contains(&name) {
                continue;
            }
            let before = state.loaded.iter().find(|bundle| bundle.found == found);
            if let Some(same) = before.filter(|bundle| bundle.fingerprint == fingerprint) {
                next.push(same.clone());
                continue;
            }
            let last = state.refused.iter().position(|last| last.found == found);
            let last = last.map(|at| state.refused.swap_remove(at));
            if let Some(again) = last.filter(|last| last.fingerprint == fingerprint) {
                next.extend(before_of(&state, &found));
                refused.push(again);
                continue;
            }
            match start(&self.starter, found.clone()).and_then(|new| check_name(&next, &new).map(|()| new)) {
                Ok(bundle) => next.push(bundle),
                Err(error) => {
                    tracing::warn!(bundle = name, %error, "bundle refused");
                    metrics::bundle(&name, "refused");
                    next.extend(before_of(&state, &found));
                    refused.push(Refused { found, fingerprint, reason: error.to_string() });
                }
            }
        }
        state.refused = refused;
        let same = next.len() == state.loaded.len()
            && next.iter().zip(&state.loaded).all(|(a, b)| Arc::ptr_eq(&a.served, &b.served));
        if !same {
            self.replace(&mut state, next);
        }
        !same
    }

    /// Every bundle in the folders, and what is served though its folder has gone.
    pub(crate) fn index(&self) -> Vec<Indexed> {
        let state = self.lock();
        let mut index: Vec<Indexed> = self.found().iter().map(|found| indexed(&state, found)).collect();
        for bundle in &state.loaded {
            let (name, version) = (bundle.served.name(), bundle.found.version);
            if !index.iter().any(|row| row.name == name && row.version == version) {
                index.push(Indexed { name: name.to_owned(), version, ready: true, reason: String::new() });
            }
        }
        index
    }

    fn replace(&self, state: &mut State, loaded: Vec<Loaded>) {
        state.loaded = loaded;
        self.catalog.store(Arc::new(catalog_of(&state.loaded)));
        self.changes.send_replace(());
    }

    fn found(&self) -> Vec<Found> {
        // A folder that cannot be listed now has none; what was served before tells.
        self.sources.iter().flat_map(|source| bundles_in(source).unwrap_or_default()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn before_of(state: &State, found: &Found) -> Option<Loaded> {
    state.loaded.iter().find(|bundle| bundle.found == *found).cloned()
}

fn indexed(state: &State, found: &Found) -> Indexed {
    let served = before_of(state, found);
    let name = served.as_ref().map_or_else(|| found.name(), |bundle| bundle.served.name().to_owned());
    let refused = state.refused.iter().find(|refused| refused.found == *found);
    let reason = match (&served, refused) {
        (Some(_), _) => String::new(),
        (None, Some(refused)) => refused.reason.clone(),
        (None, None) if state.unloaded.contains(&name) => "unloaded".to_owned(),
        (None, None) => "not loaded".to_owned(),
    };
    Indexed { name, version: found.version, ready: served.is_some(), reason }
}

fn start(starter: &Starter, found: Found) -> Result<Loaded, StartError> {
    // Taken first: what changes while it is read will look changed the next time.
    let fingerprint = found.fingerprint();
    let bundle = load(&found.folder)?;
    let served = Arc::new(Served::start(bundle, starter)?);
    let (name, heads) = (served.name(), served.heads());
    let space = served.latent_space();
    tracing::info!(bundle = name, version = found.version, latent_space = %space, heads, "bundle loaded");
    metrics::bundle(name, "loaded");
    Ok(Loaded { found, fingerprint, served })
}

fn load(folder: &Path) -> Result<AnyBundle, StartError> {
    AnyBundle::load(folder, Part::Heads)
        .map_err(|source| StartError::Bundle { path: folder.to_owned(), source })
}

fn check_name(loaded: &[Loaded], bundle: &Loaded) -> Result<(), StartError> {
    let (name, version) = (bundle.served.name(), bundle.found.version);
    if loaded.iter().any(|other| other.served.name() == name && other.found.version == version) {
        return Err(StartError::SameName { name: name.to_owned() });
    }
    Ok(())
}

fn catalog_of(loaded: &[Loaded]) -> Catalog {
    let version = |bundle: &Loaded| Version {
        number: bundle.found.version,
        folder: bundle.found.folder.clone(),
        served: Arc::clone(&bundle.served),
    };
    Catalog::of(loaded.iter().map(version))
}
