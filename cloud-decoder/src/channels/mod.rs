//! Over-the-air distribution of bundles: the encoder that devices should have, and its files.
//!
//! ```text
//! channel ─► bundle and version (channel file) ─► folder (registry) ─► its files, checked ─► offer
//! digest ─► file of an offer ─► chunks, from an offset on
//! ```
//! The channel file and the bundles may change while the server runs; an offer reflects both at the time of the
//! query. The server can decode everything that it offers: a bundle that is not served is not offered. Frames of
//! a previous encoder name their latent space, so they are decoded as long as a bundle of that latent space is
//! served.

mod channel;
mod device_log;
mod download;
mod file;
mod service;

use std::{path::PathBuf, sync::Arc, time::Duration};

use lopside_decoder::Registry;
use tokio::sync::watch;

pub(crate) use self::{
    channel::{Channel, Offer, OfferedFile},
    file::ChannelFile,
    service::GrpcBundleService,
};
use crate::{
    ServeError, StartError,
    telemetry::metrics,
    transport::{
        FrontStats,
        reload::{WatchedFiles, watch_files},
        wait_stopping,
    },
};

/// The channels of a server. Clones share the same state.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    registry: Arc<Registry>,
    /// The channel file; `None` if none is configured.
    file: Option<watch::Receiver<Arc<ChannelFile>>>,
}

/// A channel with its offer, or with the reason why nothing is offered.
pub(crate) type ChannelOffer = (Arc<Channel>, Result<Arc<Offer>, ServeError>);

impl Channels {
    /// Reads the channel file, if one is configured, checks it for changes at this interval, and reloads it after
    /// a change. Until `ready` turns false, offers are also checked after every change of the file or of the
    /// served bundles, so that a problem is logged before a device queries the channel.
    ///
    /// # Errors
    /// [`StartError::Channels`] for an invalid file.
    pub(crate) fn start(
        path: Option<PathBuf>,
        interval: Duration,
        registry: &Arc<Registry>,
        stats: &Arc<FrontStats>,
        ready: watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        metrics::init_channel_counters();
        let file = path.map(|path| {
            let watched_files = WatchedFiles { description: "channels", files: vec![path.clone()], interval };
            watch_files(watched_files, Arc::clone(stats), move |previous| ChannelFile::load(&path, previous))
        });
        let channels = Self { registry: Arc::clone(registry), file: file.transpose()? };
        if let Some(file) = channels.file.clone() {
            tokio::spawn(channels.clone().watch_offers(file, ready));
        }
        Ok(channels)
    }

    /// Returns the current offer of a channel.
    ///
    /// # Errors
    /// [`ServeError::NoChannels`], [`ServeError::UnknownChannel`], [`ServeError::ChannelUnavailable`].
    pub(crate) async fn current_offer(&self, name: &str) -> Result<Arc<Offer>, ServeError> {
        let file = self.channel_file()?;
        let Some(channel) = file.channels().find(|channel| channel.name() == name) else {
            metrics::count_channel_query(metrics::OTHER_CHANNEL, "refused");
            return Err(ServeError::UnknownChannel(name.to_owned()));
        };
        let offer = channel.current_offer(&self.registry).await;
        metrics::count_channel_query(name, if offer.is_ok() { "offered" } else { "refused" });
        offer
    }

    /// Returns the offered file with this digest.
    ///
    /// # Errors
    /// [`ServeError::NoChannels`], [`ServeError::UnknownFile`].
    pub(crate) async fn find_file(&self, sha256: &[u8]) -> Result<OfferedFile, ServeError> {
        for channel in self.channel_file()?.channels() {
            // A channel without an offer does not have files; the reason has been logged.
            let Ok(offer) = channel.current_offer(&self.registry).await else { continue };
            if let Some(file) = offer.files.iter().find(|file| file.sha256 == sha256) {
                return Ok(file.clone());
            }
        }
        Err(ServeError::unknown_file(sha256))
    }

    /// Returns all channels with their offers, in the order of the file; empty without a channel file.
    pub(crate) async fn list_offers(&self) -> Vec<ChannelOffer> {
        let mut offers = Vec::new();
        for channel in self.channel_file().iter().flat_map(|file| file.channels()) {
            offers.push((Arc::clone(channel), channel.current_offer(&self.registry).await));
        }
        offers
    }

    /// Returns a receiver of the channel file, as it changes; `None` if none is configured.
    pub(crate) fn file_changes(&self) -> Option<watch::Receiver<Arc<ChannelFile>>> {
        self.file.clone()
    }

    fn channel_file(&self) -> Result<Arc<ChannelFile>, ServeError> {
        let file = self.file.as_ref().ok_or(ServeError::NoChannels)?;
        Ok(Arc::clone(&file.borrow()))
    }

    /// Checks all offers whenever the file or the served bundles have changed.
    async fn watch_offers(self, mut file: watch::Receiver<Arc<ChannelFile>>, ready: watch::Receiver<bool>) {
        let mut bundle_changes = self.registry.changes();
        let stopping = wait_stopping(ready);
        tokio::pin!(stopping);
        loop {
            file.mark_unchanged();
            self.list_offers().await;
            tokio::select! {
                Ok(()) = file.changed() => {}
                Ok(()) = bundle_changes.changed() => {}
                () = &mut stopping => return,
            }
        }
    }
}
