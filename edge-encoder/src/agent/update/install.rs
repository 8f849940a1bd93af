use std::{path::Path, sync::Arc};

use lopside_bundle::{BundleError, BundlePart, image_codec::AnyBundle};
use lopside_encoder::{AnyEncoder, EncodeError, EncodeOptions, InputError, golden};

use super::{
    StateStore,
    folder::BundleFolder,
    input_kind::InputKind,
    state::{Release, UpdateEvent},
};
use crate::{ConnectionError, EdgeError, UpdateError};

/// Context for the trial of a bundle.
#[derive(Debug, Clone)]
pub(super) struct BundleTrial {
    pub(super) folder: BundleFolder,
    pub(super) states: Arc<StateStore>,
    pub(super) input_kind: InputKind,
    pub(super) options: EncodeOptions,
}

impl BundleTrial {
    /// Tries a bundle in its folder, makes it the current one and returns its encoder.
    ///
    /// # Errors
    /// The reason why the bundle cannot be used; a reason that [concerns the bundle itself](concerns_bundle) is
    /// recorded.
    pub(super) fn run(&self, release: &Release) -> Result<AnyEncoder, EdgeError> {
        self.states.commit(UpdateEvent::TrialBegun(release.clone()))?;
        let result = self.try_bundle(&self.folder.bundle_path(release.latent_space));
        let result = result.and_then(|encoder| {
            self.states.commit(UpdateEvent::Installed(release.clone()))?;
            Ok(encoder)
        });
        if let Err(error) = &result {
            self.states.note(if concerns_bundle(error) {
                UpdateEvent::Refused(release.clone(), error.to_string())
            } else {
                UpdateEvent::TrialBroken
            });
        }
        result
    }

    fn try_bundle(&self, bundle: &Path) -> Result<AnyEncoder, EdgeError> {
        let encoder =
            golden::load_verified(bundle, &AnyBundle::load(bundle, BundlePart::Encoder)?, &self.options)?;
        self.input_kind.check(&encoder)?;
        Ok(encoder)
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
            )
            | EdgeError::Thread(_)
            | EdgeError::Json(_)
    ) && !is_disk_damage(error)
}

/// Returns whether the disk has lost or changed stored data.
pub(super) fn is_disk_damage(error: &EdgeError) -> bool {
    matches!(
        error,
        EdgeError::Encode(EncodeError::Bundle(
            BundleError::Io { .. } | BundleError::LengthMismatch { .. } | BundleError::DigestMismatch { .. }
        ))
    )
}
