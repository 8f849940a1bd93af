//! The archive of a server: its settings, its background tasks (deletion, scoring, figures and checks of its health), the
//! cached outputs for its frames, and what its devices report of their sources.

pub(crate) mod device_reports;
pub(crate) mod export;
pub(crate) mod record;
mod report;
pub(crate) mod response_cache;
pub(crate) mod scoring;
mod scoring_lag;
mod settings;
mod statistics;
mod sweep;
pub(crate) mod times;

use std::sync::Arc;

use lopside_archive::Archive;
use lopside_decoder::Decoder;
use tokio::sync::broadcast;

use self::{device_reports::DeviceReports, response_cache::ResponseCache, scoring::ScoredFrame};
pub use self::{report::ArchiveReport, settings::ArchiveSettings};
use crate::{
    StartError,
    health::{Component, HealthState, Service, monitor_archive},
};

/// The archive of a server with its response cache and its score feed. Clones share the same state.
#[derive(Debug, Clone)]
pub(crate) struct ServerArchive {
    pub(crate) archive: Archive,
    /// Cached head outputs for archived frames.
    pub(crate) responses: Arc<ResponseCache>,
    /// What the devices report of their sources.
    pub(crate) reports: DeviceReports,
    /// The feed of new scores; `None` if frames are not scored.
    pub(crate) score_feed: Option<broadcast::Sender<ScoredFrame>>,
}

impl ServerArchive {
    /// Opens the archive. Spawns tasks that delete old frames until the archive is closed and, until the server begins
    /// to stop, check its health, read its figures and, if enabled, score frames.
    ///
    /// # Errors
    /// [`StartError::Archive`].
    pub(crate) async fn open(
        settings: &ArchiveSettings,
        decoder: &Decoder,
        health: &HealthState,
    ) -> Result<Self, StartError> {
        let archive = Archive::open(&settings.url, settings.database_settings()).await?;
        health.offer(Service::Ingest);
        health.supervise_until_stop(
            Component::Archive,
            monitor_archive(archive.clone(), health.clone(), settings.check_interval),
        );
        sweep::init_counters();
        health.supervise(Component::Retention, sweep::sweep_periodically(archive.clone()));
        statistics::start(&archive, health).await;
        let score_feed = settings.scores_frames.then(|| scoring::spawn_scorer(&archive, decoder, health));
        let reports = DeviceReports::register();
        Ok(Self { archive, responses: Arc::default(), reports, score_feed })
    }
}
