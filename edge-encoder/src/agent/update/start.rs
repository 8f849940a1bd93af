use std::sync::Arc;

use lopside_bundle::{Part, picture::AnyBundle};

use super::{
    Book,
    folder::Folder,
    gives::Gives,
    state::{Event, Release},
};
use crate::{AnyEncoder, EdgeError, EncodeOptions, agent::encoders::Probation};

/// Chooses the initial encoder: the first one that opens of the current bundle, the previous bundle and the
/// configured one.
pub(super) fn choose(
    folder: &Folder,
    book: &Arc<Book>,
    configured: AnyEncoder,
    options: &EncodeOptions,
) -> (AnyEncoder, Option<Probation>) {
    let gives = Gives::of(&configured);
    begin(book);
    loop {
        let state = book.state();
        let Some(release) = &state.current else { return (configured, None) };
        if let Some(encoder) = open(folder, release, &gives, options) {
            if state.probation.is_none() {
                return (encoder, None);
            }
            let before = state.previous.as_ref().and_then(|before| open(folder, before, &gives, options));
            let book = Arc::clone(book);
            return (encoder, Some(Probation { before: before.unwrap_or(configured), book }));
        }
        book.note(Event::Lost);
    }
}

/// Counts a start, which may exceed the limit of a bundle on probation.
fn begin(book: &Book) {
    let before = book.state();
    for refused in
        book.note(Event::Started).refused.iter().filter(|refused| !before.refused.contains(refused))
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

fn open(folder: &Folder, release: &Release, gives: &Gives, options: &EncodeOptions) -> Option<AnyEncoder> {
    let path = folder.bundle(release.latent_space);
    let open = || -> Result<AnyEncoder, EdgeError> {
        let encoder = AnyEncoder::new(&AnyBundle::load(&path, Part::Encoder)?, options)?;
        gives.check(&encoder)?;
        Ok(encoder)
    };
    let opened = open();
    if let Err(error) = &opened {
        tracing::error!(%error, bundle = %path.display(), "cannot open an installed bundle; using the previous one");
    }
    opened.ok()
}
