//! The repository's calls: what is there, load, unload.

use std::sync::Arc;

use super::Oip;
use crate::{Registry, ServeError, registry::Indexed};

impl Oip {
    /// Every head of every bundle that is served, and every bundle that is not.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    pub(super) async fn index(&self, ready: bool) -> Result<Vec<Indexed>, ServeError> {
        let bundles = self.change(|registry| Ok(registry.index())).await?;
        let heads = self.models().into_iter().flat_map(|model| {
            let versions = model.versions().into_iter();
            versions.map(move |version| Indexed {
                name: model.name.clone(),
                version,
                ready: true,
                reason: String::new(),
            })
        });
        let rest = bundles.into_iter().filter(|bundle| !bundle.ready && !ready);
        Ok(heads.chain(rest).collect())
    }

    /// Loads a bundle, or loads it again; a head's name means its bundle.
    ///
    /// # Errors
    /// See [`Registry::load_bundle`].
    pub(super) async fn load(&self, name: &str) -> Result<(), ServeError> {
        let name = bundle_of(name);
        self.change(move |registry| registry.load_bundle(&name)).await
    }

    /// Unloads a bundle; a head's name means its bundle.
    ///
    /// # Errors
    /// See [`Registry::unload_bundle`].
    pub(super) async fn unload(&self, name: &str) -> Result<(), ServeError> {
        let name = bundle_of(name);
        self.change(move |registry| registry.unload_bundle(&name)).await
    }

    /// Does what takes its time where it holds up nobody.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Registry) -> Result<T, ServeError> + Send + 'static,
    ) -> Result<T, ServeError> {
        let registry = Arc::clone(self.registry());
        let done = tokio::task::spawn_blocking(move || work(&registry)).await;
        done.map_err(|error| ServeError::Internal(error.to_string()))?
    }
}

fn bundle_of(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}
