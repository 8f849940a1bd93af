use std::{path::Path, sync::Arc};

use lopside_bundle::{BundleError, Part, picture::AnyBundle};

use super::{
    Book,
    folder::Folder,
    gives::Gives,
    state::{Event, Release},
};
use crate::{AnyEncoder, EdgeError, EncodeOptions, golden};

/// Context for the trial of a bundle.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) folder: Folder,
    pub(super) book: Arc<Book>,
    pub(super) gives: Gives,
    pub(super) options: EncodeOptions,
}

impl Trial {
    /// Tries a bundle in its folder, makes it the current one and returns its encoder.
    ///
    /// # Errors
    /// The reason why the bundle cannot be used; a reason that [concerns the bundle itself](is_final) is
    /// recorded.
    pub(super) fn run(&self, release: &Release) -> Result<AnyEncoder, EdgeError> {
        self.book.commit(Event::TrialBegun(release.clone()))?;
        let tried = self.tried(&self.folder.bundle(release.latent_space));
        let tried = tried.and_then(|encoder| {
            self.book.commit(Event::Installed(release.clone()))?;
            Ok(encoder)
        });
        if let Err(error) = &tried {
            let refused = || Event::Refused(release.clone(), error.to_string());
            self.book.note(if is_final(error) { refused() } else { Event::TrialBroken });
        }
        tried
    }

    fn tried(&self, bundle: &Path) -> Result<AnyEncoder, EdgeError> {
        let encoder = golden::tried(bundle, &AnyBundle::load(bundle, Part::Encoder)?, &self.options)?;
        self.gives.check(&encoder)?;
        Ok(encoder)
    }
}

/// Returns whether an error concerns the bundle itself, and not the disk or the connection to the cloud.
pub(super) fn is_final(error: &EdgeError) -> bool {
    !matches!(
        error,
        EdgeError::Io { .. }
            | EdgeError::Connect { .. }
            | EdgeError::Remote { .. }
            | EdgeError::Download { .. }
            | EdgeError::NoRoom { .. }
            | EdgeError::Thread(_)
            | EdgeError::Json(_)
    ) && !is_damage(error)
}

/// Returns whether the disk has lost or changed stored data.
pub(super) fn is_damage(error: &EdgeError) -> bool {
    matches!(
        error,
        EdgeError::Bundle(
            BundleError::Io { .. } | BundleError::Length { .. } | BundleError::DigestMismatch { .. }
        )
    )
}
