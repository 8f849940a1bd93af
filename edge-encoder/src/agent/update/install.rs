use std::{io, path::PathBuf, sync::Arc};

use lopside_bundle::BundleError;
use lopside_encoder::{AnyEncoder, EncodeError, EncodeOptions, InputError};
use tokio::task::{JoinError, spawn_blocking};

use super::{
    StateStore,
    folder::BundleFolder,
    input_kind::InputKind,
    start::load_encoder,
    state::{Release, UpdateEvent},
};
use crate::{ConnectionError, EdgeError, TrialLimits, UpdateError, trial::run_trial};

/// Context for the trial of a bundle.
#[derive(Debug)]
pub(super) struct BundleTrial {
    pub(super) folder: BundleFolder,
    pub(super) states: Arc<StateStore>,
    pub(super) input_kind: InputKind,
    pub(super) options: EncodeOptions,
    pub(super) limits: TrialLimits,
}

/// A trial that has begun. When it is dropped, the trial counts as broken off, unless its result is recorded: the end
/// of the agent says nothing about the bundle.
struct BegunTrial<'a>(&'a StateStore);

impl Drop for BegunTrial<'_> {
    fn drop(&mut self) {
        self.0.note(UpdateEvent::TrialBroken);
    }
}

impl BundleTrial {
    /// Tries a bundle in its folder, makes it the current one and returns its encoder.
    ///
    /// # Errors
    /// The reason why the bundle cannot be used; a reason that [concerns the bundle itself](concerns_bundle) is
    /// recorded.
    pub(super) async fn run(&self, release: &Release) -> Result<AnyEncoder, EdgeError> {
        self.states.commit(UpdateEvent::TrialBegun(release.clone()))?;
        let _begun = BegunTrial(&self.states);
        let result = self.try_bundle(self.folder.bundle_path(release.latent_space)).await;
        let result = result.and_then(|encoder| {
            self.states.commit(UpdateEvent::Installed(release.clone()))?;
            Ok(encoder)
        });
        if let Err(error) = &result
            && concerns_bundle(error)
        {
            self.states.note(UpdateEvent::Refused(release.clone(), error.to_string()));
        }
        result
    }

    async fn try_bundle(&self, bundle: PathBuf) -> Result<AnyEncoder, EdgeError> {
        let figures = run_trial(&bundle, &self.options, &self.limits).await?;
        tracing::info!(
            bundle = %bundle.display(),
            elapsed_ms = figures.elapsed_ms,
            peak_memory_bytes = figures.peak_memory_bytes,
            "a bundle received over the air has passed its trial"
        );
        let (input_kind, options) = (self.input_kind.clone(), self.options);
        let opened = spawn_blocking(move || load_encoder(&bundle, &input_kind, &options)).await;
        opened.unwrap_or_else(|error| Err(incomplete(error)))
    }
}

/// Returns the error of a thread that did not open a bundle.
fn incomplete(error: JoinError) -> EdgeError {
    if error.is_panic() {
        UpdateError::TrialIncomplete(error.to_string()).into()
    } else {
        EdgeError::Thread(io::Error::other(error))
    }
}

/// Returns whether an error concerns the bundle itself, and not the disk or the connection to the cloud.
pub(super) fn concerns_bundle(error: &EdgeError) -> bool {
    !matches!(
        error,
        EdgeError::Io { .. }
            | EdgeError::Encode(EncodeError::Input(InputError::Io { .. }))
            | EdgeError::Connection(ConnectionError::Connect { .. } | ConnectionError::Remote { .. })
            | EdgeError::Update(
                UpdateError::Download { .. }
                    | UpdateError::NotEnoughSpace { .. }
                    | UpdateError::FolderInUse { .. }
                    | UpdateError::TrialNotRun(_)
            )
            | EdgeError::Thread(_)
            | EdgeError::Json(_)
    ) && !is_disk_damage(error)
}

/// Returns whether the disk has lost or changed stored data.
pub(super) fn is_disk_damage(error: &EdgeError) -> bool {
    matches!(
        error,
        EdgeError::Update(UpdateError::DamagedFiles(_))
            | EdgeError::Encode(EncodeError::Bundle(
                BundleError::Io { .. }
                    | BundleError::LengthMismatch { .. }
                    | BundleError::DigestMismatch { .. }
            ))
    )
}
