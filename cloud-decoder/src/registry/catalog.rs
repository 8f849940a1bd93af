//! What is served at one time, which never changes: a request looks once and keeps what it found to its end.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use lopside_latent::LatentSpaceId;

use crate::{ServeError, served::Served};

/// Bundles by name and by latent space.
///
/// A name means its newest version; a latent space means all heads that read it, of whichever bundle, the newest of
/// each name first. So frames of an old encoder are decoded by the newest head that knows their latent space.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    by_name: BTreeMap<String, Vec<Version>>,
    by_space: HashMap<LatentSpaceId, Arc<Served>>,
}

/// One version of a bundle.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) number: u32,
    /// Where it was loaded from.
    pub(crate) folder: PathBuf,
    pub(crate) served: Arc<Served>,
}

impl Catalog {
    /// What these bundles are together. Of bundles of one latent space, the first one's name counts.
    pub(super) fn of(bundles: impl Iterator<Item = Version>) -> Self {
        let mut by_name: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        let mut by_space: HashMap<LatentSpaceId, Vec<Arc<Served>>> = HashMap::new();
        for version in bundles {
            by_space.entry(version.served.latent_space()).or_default().push(Arc::clone(&version.served));
            by_name.entry(version.served.name().to_owned()).or_default().push(version);
        }
        for versions in by_name.values_mut() {
            versions.sort_by_key(|version| Reverse(version.number));
            share_heads(versions);
        }
        let merged = |(space, bundles): (LatentSpaceId, Vec<Arc<Served>>)| (space, merge(bundles));
        Self { by_name, by_space: by_space.into_iter().map(merged).collect() }
    }

    /// The newest version of each bundle, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.by_name.values().filter_map(|versions| versions.first()).map(|version| &version.served)
    }

    /// What is served of each latent space, with the heads of all bundles.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.by_space.values()
    }

    /// The newest version of a bundle.
    ///
    /// # Errors
    /// [`ServeError::UnknownBundle`].
    pub(crate) fn by_name(&self, name: &str) -> Result<&Arc<Served>, ServeError> {
        let newest = self.by_name.get(name).and_then(|versions| versions.first());
        newest.map(|version| &version.served).ok_or_else(|| ServeError::UnknownBundle(name.to_owned()))
    }

    /// A version of a bundle; the newest one when none is named.
    pub(crate) fn version(&self, name: &str, number: Option<u32>) -> Option<&Version> {
        let mut versions = self.by_name.get(name)?.iter();
        versions.find(|version| number.is_none_or(|number| version.number == number))
    }

    /// All heads of a latent space.
    ///
    /// # Errors
    /// [`ServeError::UnknownLatentSpace`].
    pub(crate) fn by_space(&self, id: LatentSpaceId) -> Result<&Arc<Served>, ServeError> {
        self.by_space.get(&id).ok_or(ServeError::UnknownLatentSpace(id))
    }

    /// The version of a bundle that has this latent space; the newest one when none has.
    ///
    /// # Errors
    /// [`ServeError::UnknownBundle`].
    pub(crate) fn by_name_and_space(
        &self,
        name: &str,
        id: LatentSpaceId,
    ) -> Result<&Arc<Served>, ServeError> {
        let versions = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let same = versions.iter().find(|version| version.served.latent_space() == id);
        same.map_or_else(|| self.by_name(name), |version| Ok(&version.served))
    }
}

/// Gives versions of one latent space each other's heads.
fn share_heads(versions: &mut [Version]) {
    let all: Vec<Arc<Served>> = versions.iter().map(|version| Arc::clone(&version.served)).collect();
    for version in versions {
        let space = version.served.latent_space();
        let same: Vec<_> = all.iter().filter(|served| served.latent_space() == space).cloned().collect();
        if same.len() > 1 {
            version.served = Arc::new(version.served.with_heads_of(&same));
        }
    }
}

fn merge(bundles: Vec<Arc<Served>>) -> Arc<Served> {
    match bundles.as_slice() {
        [first, _, ..] => Arc::new(first.with_heads_of(&bundles)),
        _ => bundles.into_iter().next().unwrap_or_else(|| unreachable!("a space has at least one bundle")),
    }
}
