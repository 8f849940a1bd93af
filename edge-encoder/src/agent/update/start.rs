use std::{path::Path, sync::Arc};

use lopside_bundle::{BundlePart, image_codec::AnyBundle};
use lopside_encoder::{AnyEncoder, EncodeOptions};

use super::{
    StateStore,
    folder::BundleFolder,
    input_kind::InputKind,
    state::{Release, UpdateEvent},
};
use crate::{EdgeError, agent::encoders::PreviousEncoder};

/// Chooses the initial encoder: the first one that opens of the current bundle, the previous bundle and the
/// configured one.
pub(super) fn choose_encoder(
    folder: &BundleFolder,
    states: &Arc<StateStore>,
    configured: AnyEncoder,
    options: &EncodeOptions,
) -> (AnyEncoder, Option<PreviousEncoder>) {
    let input_kind = InputKind::from_encoder(&configured);
    count_start(states);
    loop {
        let state = states.state();
        let Some(release) = &state.current else { return (configured, None) };
        if let Some(encoder) = open_encoder(folder, release, &input_kind, options) {
            if state.probation.is_none() {
                return (encoder, None);
            }
            let previous = state
                .previous
                .as_ref()
                .and_then(|previous| open_encoder(folder, previous, &input_kind, options));
            let states = Arc::clone(states);
            return (encoder, Some(PreviousEncoder { encoder: previous.unwrap_or(configured), states }));
        }
        states.note(UpdateEvent::Lost);
    }
}

/// Counts a start, which may exceed the limit of a bundle on probation.
fn count_start(states: &StateStore) {
    let state_before = states.state();
    for refused in states
        .note(UpdateEvent::Started)
        .refused
        .iter()
        .filter(|refused| !state_before.refused.contains(refused))
    {
        let release = &refused.release;
        tracing::error!(
            bundle = release.bundle,
            latent_space = %release.latent_space,
            reason = refused.reason,
            "a bundle received over the air is refused"
        );
    }
}

fn open_encoder(
    folder: &BundleFolder,
    release: &Release,
    input_kind: &InputKind,
    options: &EncodeOptions,
) -> Option<AnyEncoder> {
    let path = folder.bundle_path(release.latent_space);
    let opened = load_encoder(&path, input_kind, options);
    if let Err(error) = &opened {
        tracing::error!(%error, bundle = %path.display(), "cannot open an installed bundle; using the previous one");
    }
    opened.ok()
}

/// Opens a bundle that has passed its trial, and checks that it takes the inputs of the sources.
///
/// # Errors
/// The reason why it cannot be used.
pub(super) fn load_encoder(
    bundle: &Path,
    input_kind: &InputKind,
    options: &EncodeOptions,
) -> Result<AnyEncoder, EdgeError> {
    let encoder = AnyEncoder::new(&AnyBundle::load(bundle, BundlePart::Encoder)?, options)?;
    input_kind.check(&encoder)?;
    Ok(encoder)
}
