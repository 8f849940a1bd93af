//! The archive of a server: its settings, its background tasks (deletion and scoring) and the cached outputs for
//! its frames.

pub(crate) mod export;
pub(crate) mod record;
pub(crate) mod response_cache;
pub(crate) mod scoring;
mod settings;
mod sweep;
pub(crate) mod times;

use std::sync::Arc;

use lopside_archive::Archive;
use lopside_decoder::Decoder;
use tokio::sync::{broadcast, watch};

pub use self::settings::ArchiveSettings;
use self::{response_cache::ResponseCache, scoring::ScoredFrame};
use crate::StartError;

/// The archive of a server with its response cache and its score feed. Clones share the same state.
#[derive(Debug, Clone)]
pub(crate) struct ServerArchive {
    pub(crate) archive: Archive,
    /// Cached head outputs for archived frames.
    pub(crate) responses: Arc<ResponseCache>,
    /// The feed of new scores; `None` if frames are not scored.
    pub(crate) score_feed: Option<broadcast::Sender<ScoredFrame>>,
}

impl ServerArchive {
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
        let archive = Archive::open(&settings.url, settings.database_settings()).await?;
        tokio::spawn(sweep::sweep_periodically(archive.clone()));
        let score_feed = settings.scores_frames.then(|| scoring::spawn_scorer(&archive, decoder, ready));
        Ok(Self { archive, responses: Arc::default(), score_feed })
    }
}
