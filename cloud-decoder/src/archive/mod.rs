//! The archive of a server: its settings, its background tasks (deletion and scoring) and the cached outputs for
//! its frames.

pub(crate) mod answers;
pub(crate) mod export;
pub(crate) mod record;
pub(crate) mod scoring;
mod settings;
mod sweep;
pub(crate) mod times;

use std::sync::Arc;

use lopside_archive::Archive;
use tokio::sync::{broadcast, watch};

pub use self::settings::{ArchiveArgs, ArchiveSettings};
use self::{answers::Answers, scoring::Scored};
use crate::{Decoder, StartError};

/// The archive of a server with its response cache and its score feed. Clones share the same state.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) archive: Archive,
    /// Cached head outputs for archived frames.
    pub(crate) answers: Arc<Answers>,
    /// The feed of new scores; `None` if frames are not scored.
    pub(crate) scores: Option<broadcast::Sender<Scored>>,
}

impl Kept {
    /// Opens the archive. Spawns a task that deletes old frames until the archive is closed and, if enabled, a
    /// task that scores frames until `ready` turns false.
    ///
    /// # Errors
    /// [`StartError::Archive`].
    pub(crate) async fn open(
        settings: &ArchiveSettings,
        decoder: &Decoder,
        ready: watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        let archive = Archive::open(&settings.url, settings.database()).await?;
        tokio::spawn(sweep::run(archive.clone()));
        let scores = settings.scores.then(|| scoring::start(&archive, decoder, ready));
        Ok(Self { archive, answers: Arc::default(), scores })
    }
}
