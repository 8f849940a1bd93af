//! Bundles over the air: which encoder devices are to have, and its files.
//!
//! ```text
//! channel ─► bundle and version (file) ─► folder (what is served) ─► its files, checked ─► offer
//! digest ─► file of an offer ─► pieces, from an offset on
//! ```
//! The file of channels may change while the server runs, and so may bundles: an offer is what both say at the moment
//! of the question. Whatever is offered, the server decodes: a bundle that is not served is offered to nobody. Frames
//! of the encoder before it name their latent space, so that they are decoded for as long as a bundle of it is
//! served.

mod channel;
mod devices;
mod download;
mod file;
mod service;

use std::{path::PathBuf, sync::Arc};

use tokio::sync::watch;

pub(crate) use self::{
    channel::{Channel, Offer, Offered},
    file::ChannelFile,
    service::Bundles,
};
use crate::{
    Registry, ServeError, Settings, StartError,
    front::{
        FrontStats,
        reload::{Followed, follow},
        stopping,
    },
    metrics,
};

/// The channels of a server. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    registry: Arc<Registry>,
    /// None where none are configured.
    file: Option<watch::Receiver<Arc<ChannelFile>>>,
}

/// A channel and what it offers, or why it does not.
pub(crate) type Listed = (Arc<Channel>, Result<Arc<Offer>, ServeError>);

impl Channels {
    /// Reads the file of channels, where there is one, and follows it. Until `ready` turns false, what is wrong with an
    /// offer is found out and logged when it begins to be wrong, without a device that asks.
    ///
    /// # Errors
    /// [`StartError::Channels`] for a file that cannot be used.
    pub(crate) fn start(
        settings: &Settings,
        registry: &Arc<Registry>,
        stats: &Arc<FrontStats>,
        ready: watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        metrics::show_channels();
        let follow = |path: PathBuf| {
            let every = settings.front.reload;
            let followed = Followed { what: "channels", files: vec![path.clone()], every };
            follow(followed, Arc::clone(stats), move |before| ChannelFile::load(&path, before))
        };
        let file = settings.channels.clone().map(follow).transpose()?;
        let channels = Self { registry: Arc::clone(registry), file };
        if let Some(file) = channels.file.clone() {
            tokio::spawn(channels.clone().look(file, ready));
        }
        Ok(channels)
    }

    /// What a channel offers now.
    ///
    /// # Errors
    /// [`ServeError::NoChannels`], [`ServeError::UnknownChannel`], [`ServeError::NotOffered`].
    pub(crate) async fn offer(&self, name: &str) -> Result<Arc<Offer>, ServeError> {
        let file = self.file()?;
        let Some(channel) = file.all().find(|channel| channel.name() == name) else {
            metrics::channel_query(metrics::OTHER_CHANNEL, "refused");
            return Err(ServeError::UnknownChannel(name.to_owned()));
        };
        let offer = channel.offer(&self.registry).await;
        metrics::channel_query(name, if offer.is_ok() { "offered" } else { "refused" });
        offer
    }

    /// The file of this digest that a channel offers.
    ///
    /// # Errors
    /// [`ServeError::NoChannels`], [`ServeError::UnknownFile`].
    pub(crate) async fn find(&self, sha256: &[u8]) -> Result<Offered, ServeError> {
        for channel in self.file()?.all() {
            // A channel that offers nothing has no file either; why has been logged.
            let Ok(offer) = channel.offer(&self.registry).await else { continue };
            if let Some(file) = offer.files.iter().find(|file| file.sha256 == sha256) {
                return Ok(file.clone());
            }
        }
        Err(ServeError::unknown_file(sha256))
    }

    /// All channels, in the file's order; none where none are configured.
    pub(crate) async fn all(&self) -> Vec<Listed> {
        let mut listed = Vec::new();
        for channel in self.file().iter().flat_map(|file| file.all()) {
            listed.push((Arc::clone(channel), channel.offer(&self.registry).await));
        }
        listed
    }

    fn file(&self) -> Result<Arc<ChannelFile>, ServeError> {
        let file = self.file.as_ref().ok_or(ServeError::NoChannels)?;
        Ok(Arc::clone(&file.borrow()))
    }

    /// Asks every channel whenever the file or what is served has changed.
    async fn look(self, mut file: watch::Receiver<Arc<ChannelFile>>, ready: watch::Receiver<bool>) {
        let mut served = self.registry.changes();
        let stopping = stopping(ready);
        tokio::pin!(stopping);
        loop {
            file.mark_unchanged();
            self.all().await;
            tokio::select! {
                Ok(()) = file.changed() => {}
                Ok(()) = served.changed() => {}
                () = &mut stopping => return,
            }
        }
    }
}
