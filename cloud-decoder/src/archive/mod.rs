//! The archive that a server keeps: its settings, what is done with it without being asked, and what is made of its
//! frames.

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

/// The archive of a server, and what comes with it. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) archive: Archive,
    /// What heads have made of its frames.
    pub(crate) answers: Arc<Answers>,
    /// Scores as they are made; none where frames are not scored.
    pub(crate) scores: Option<broadcast::Sender<Scored>>,
}

impl Kept {
    /// Opens the archive of the settings, and from then on sweeps it for as long as it is in use, and scores its frames
    /// until `ready` turns false.
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
