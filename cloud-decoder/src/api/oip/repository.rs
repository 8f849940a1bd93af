//! The repository calls: index, load and unload.

use std::sync::Arc;

use lopside_decoder::{DecodeError, IndexEntry, Registry, offload::run_blocking};

use super::OipService;
use crate::{
    ServeError,
    audit::{Actor, Change},
};

impl OipService {
    /// Returns every head of every served bundle and, unless `ready` is set, every bundle that is not served.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    pub(super) async fn list_repository(&self, ready: bool) -> Result<Vec<IndexEntry>, ServeError> {
        let bundles = self.run_on_registry(|registry| Ok(registry.list_bundles())).await?;
        let heads = self.models().into_iter().flat_map(|model| {
            let versions = model.versions().into_iter();
            versions.map(move |version| IndexEntry {
                name: model.name.clone(),
                version,
                ready: true,
                reason: String::new(),
            })
        });
        let unready = bundles.into_iter().filter(|bundle| !bundle.ready && !ready);
        Ok(heads.chain(unready).collect())
    }

    /// Loads or reloads a bundle; the name of a head selects its bundle.
    ///
    /// # Errors
    /// See [`Registry::load_bundle`].
    pub(super) async fn load_bundle(&self, name: &str, actor: Actor) -> Result<(), ServeError> {
        let name = bundle_of(name);
        let change = Change { actor, action: "bundle.load", subject: name.clone() };
        self.change_registry(change, move |registry| registry.load_bundle(&name)).await
    }

    /// Unloads a bundle; the name of a head selects its bundle.
    ///
    /// # Errors
    /// See [`Registry::unload_bundle`].
    pub(super) async fn unload_bundle(&self, name: &str, actor: Actor) -> Result<(), ServeError> {
        let name = bundle_of(name);
        let change = Change { actor, action: "bundle.unload", subject: name.clone() };
        self.change_registry(change, move |registry| registry.unload_bundle(&name)).await
    }

    /// Changes the registry on a blocking thread, and adds the change to the audit log.
    async fn change_registry(
        &self,
        change: Change,
        work: impl FnOnce(&Registry) -> Result<(), DecodeError> + Send + 'static,
    ) -> Result<(), ServeError> {
        let registry = Arc::clone(self.registry());
        let action = async move { Ok::<(), ServeError>(run_blocking(move || work(&registry)).await??) };
        self.audit.perform(change, action).await
    }

    /// Runs work on the registry on a blocking thread.
    async fn run_on_registry<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Registry) -> Result<T, DecodeError> + Send + 'static,
    ) -> Result<T, ServeError> {
        let registry = Arc::clone(self.registry());
        Ok(run_blocking(move || work(&registry)).await??)
    }
}

/// Refuses the parameters of a load, with which Triton replaces the configuration or the files of a model.
///
/// # Errors
/// [`ServeError::InvalidRequest`] with the name of the first parameter.
pub(super) fn refuse_overrides<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), ServeError> {
    let Some(name) = names.min() else { return Ok(()) };
    let reason = format!(
        "the load parameter {name:?} is not supported: bundles are loaded as they are in their folders; change the \
         folder, and load without parameters"
    );
    Err(ServeError::InvalidRequest(reason))
}

/// Refuses the name of a repository.
///
/// # Errors
/// [`ServeError::InvalidRequest`] if the name is not empty.
pub(super) fn refuse_repository(name: &str) -> Result<(), ServeError> {
    if name.is_empty() {
        return Ok(());
    }
    let reason =
        format!("there is no repository {name:?}: this server has one, without a name; omit repository_name");
    Err(ServeError::InvalidRequest(reason))
}

fn bundle_of(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}
