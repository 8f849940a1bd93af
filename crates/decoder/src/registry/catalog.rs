//! An immutable snapshot of the served bundles: a request reads it once and uses it to its end.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use lopside_latent::LatentSpaceId;

use crate::{DecodeError, served_bundle::ServedBundle};

/// Bundles by name and by latent space.
///
/// A name selects the newest version of a bundle. A latent space selects all heads that read it, in any
/// bundle, the newest version of each name first. Frames of an old encoder are therefore decoded by the
/// newest head that reads their latent space.
#[derive(Debug, Default)]
pub struct Catalog {
    by_name: BTreeMap<String, Vec<BundleVersion>>,
    by_space: HashMap<LatentSpaceId, Arc<ServedBundle>>,
}

/// One version of a bundle.
#[derive(Debug, Clone)]
pub struct BundleVersion {
    /// The version.
    pub number: u32,
    /// The folder that the bundle was loaded from.
    pub folder: PathBuf,
    /// The bundle with its engines.
    pub served: Arc<ServedBundle>,
}

impl Catalog {
    /// Creates the snapshot of these bundles. For bundles of one latent space, the name of the first one
    /// applies.
    pub(super) fn from_versions(bundles: impl Iterator<Item = BundleVersion>) -> Self {
        let mut by_name: BTreeMap<String, Vec<BundleVersion>> = BTreeMap::new();
        let mut by_space: HashMap<LatentSpaceId, Vec<Arc<ServedBundle>>> = HashMap::new();
        for version in bundles {
            by_space.entry(version.served.latent_space()).or_default().push(Arc::clone(&version.served));
            by_name.entry(version.served.name().to_owned()).or_default().push(version);
        }
        for versions in by_name.values_mut() {
            versions.sort_by_key(|version| Reverse(version.number));
            share_heads(versions);
        }
        let by_space = by_space.into_iter().map(|(space, bundles)| (space, merge_bundles(bundles)));
        Self { by_name, by_space: by_space.collect() }
    }

    /// Returns the newest version of each bundle, ordered by name.
    pub fn newest_bundles(&self) -> impl Iterator<Item = &Arc<ServedBundle>> {
        self.by_name.values().filter_map(|versions| versions.first()).map(|version| &version.served)
    }

    /// Returns one bundle per latent space, with the heads of all bundles.
    pub fn spaces(&self) -> impl Iterator<Item = &Arc<ServedBundle>> {
        self.by_space.values()
    }

    /// Returns the newest version of a bundle.
    ///
    /// # Errors
    /// [`DecodeError::UnknownBundle`].
    pub fn by_name(&self, name: &str) -> Result<&Arc<ServedBundle>, DecodeError> {
        let newest = self.by_name.get(name).and_then(|versions| versions.first());
        newest.map(|version| &version.served).ok_or_else(|| DecodeError::UnknownBundle(name.to_owned()))
    }

    /// Returns one version of a bundle; `None` selects the newest.
    #[must_use]
    pub fn version(&self, name: &str, number: Option<u32>) -> Option<&BundleVersion> {
        let mut versions = self.by_name.get(name)?.iter();
        versions.find(|version| number.is_none_or(|number| version.number == number))
    }

    /// Returns the bundle of a latent space, with the heads of all bundles.
    ///
    /// # Errors
    /// [`DecodeError::UnknownLatentSpace`].
    pub fn by_space(&self, id: LatentSpaceId) -> Result<&Arc<ServedBundle>, DecodeError> {
        self.by_space.get(&id).ok_or(DecodeError::UnknownLatentSpace(id))
    }

    /// Returns the version of a bundle with this latent space, or the newest version if none has it.
    ///
    /// # Errors
    /// [`DecodeError::UnknownBundle`].
    pub fn by_name_and_space(
        &self,
        name: &str,
        id: LatentSpaceId,
    ) -> Result<&Arc<ServedBundle>, DecodeError> {
        let versions = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let same = versions.iter().find(|version| version.served.latent_space() == id);
        same.map_or_else(|| self.by_name(name), |version| Ok(&version.served))
    }
}

/// Adds to each version the heads of all other versions with the same latent space.
fn share_heads(versions: &mut [BundleVersion]) {
    let bundles: Vec<Arc<ServedBundle>> =
        versions.iter().map(|version| Arc::clone(&version.served)).collect();
    for version in versions {
        let space = version.served.latent_space();
        let same_space: Vec<_> =
            bundles.iter().filter(|served| served.latent_space() == space).cloned().collect();
        if same_space.len() > 1 {
            version.served = Arc::new(version.served.with_heads_of(&same_space));
        }
    }
}

fn merge_bundles(bundles: Vec<Arc<ServedBundle>>) -> Arc<ServedBundle> {
    match bundles.as_slice() {
        [first, _, ..] => Arc::new(first.with_heads_of(&bundles)),
        _ => bundles.into_iter().next().unwrap_or_else(|| unreachable!("a space has at least one bundle")),
    }
}
