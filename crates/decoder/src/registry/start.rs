//! The start of a bundle from its folder.

use std::{path::Path, sync::Arc};

use lopside_bundle::{BundlePart, image_codec::AnyBundle};

use super::{folders::BundleFolder, metrics, state::LoadedBundle};
use crate::{LoadError, heads::HeadLoader, served_bundle::ServedBundle};

/// Loads a bundle and starts the engines of its heads. Its name and version must differ from those of `others`.
///
/// # Errors
/// [`LoadError`] with the reason why the bundle is refused.
pub(super) fn start_bundle(
    loader: &HeadLoader,
    found: BundleFolder,
    others: &[LoadedBundle],
) -> Result<LoadedBundle, LoadError> {
    // Computed before loading, so that a change during the load is detected at the next check.
    let fingerprint = found.fingerprint();
    let bundle = read_bundle(&found.folder)?;
    let served = Arc::new(ServedBundle::start(bundle, loader)?);
    let (name, heads) = (served.name(), served.head_count());
    if others.iter().any(|other| other.served.name() == name && other.found.version == found.version) {
        return Err(LoadError::DuplicateBundle { name: name.to_owned() });
    }
    let space = served.latent_space();
    tracing::info!(bundle = name, version = found.version, latent_space = %space, heads, "bundle loaded");
    metrics::count_bundle_change(name, "loaded");
    Ok(LoadedBundle { found, fingerprint, served })
}

fn read_bundle(folder: &Path) -> Result<AnyBundle, LoadError> {
    AnyBundle::load(folder, BundlePart::Heads)
        .map_err(|source| LoadError::Bundle { path: folder.to_owned(), source })
}
