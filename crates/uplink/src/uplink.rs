//! The loop that connects, sends and reconnects.

use std::{future::Future, time::Duration};

use tokio::{sync::watch, time::sleep};
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{LinkState, SourceStatus, Store, UplinkError, backoff::Backoff, session::Session};

/// Settings of an uplink.
#[derive(Debug, Clone)]
pub struct UplinkSettings {
    /// The device's name: 1 to 128 visible ASCII characters.
    pub device: String,
    /// The value of the `authorization` metadata; `None` sends none.
    pub bearer: Option<MetadataValue<Ascii>>,
    /// Time without an acknowledgement after which the connection counts as broken.
    pub ack_timeout: Duration,
    /// The longest pause between two attempts.
    pub max_pause: Duration,
}

/// Sends the records of a store, over one connection after the other.
#[derive(Debug)]
pub struct Uplink {
    store: Store,
    settings: UplinkSettings,
    link: watch::Sender<LinkState>,
    /// The state of the sources; `None` if the cloud is not told of it.
    sources: Option<watch::Receiver<Vec<SourceStatus>>>,
}

impl Uplink {
    /// Creates an uplink that has not connected yet.
    #[must_use]
    pub fn new(store: Store, settings: UplinkSettings) -> Self {
        Self { store, settings, link: watch::Sender::new(LinkState::default()), sources: None }
    }

    /// Also tells the cloud of the sources, if it accepts that: at each connection, and after each notification.
    #[must_use]
    pub fn with_sources(self, sources: watch::Receiver<Vec<SourceStatus>>) -> Self {
        Self { sources: Some(sources), ..self }
    }

    /// Returns the state of the connection, and notifies of each change.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.link.subscribe()
    }

    /// Connects, sends until the connection ends, and reconnects, until the store has stopped.
    pub async fn run<C, F>(&self, connect: C)
    where
        C: Fn() -> F,
        F: Future<Output = Result<Channel, UplinkError>>,
    {
        let mut backoff = Backoff::new(self.settings.max_pause);
        loop {
            let previous = self.link.borrow().last_acknowledged_at;
            let error = match connect().await {
                Ok(channel) => self.session().run(channel).await,
                Err(error) => error,
            };
            if matches!(error, UplinkError::StoreStopped) || self.store.rewind().await.is_err() {
                return;
            }
            self.report_error(&error);
            if self.link.borrow().last_acknowledged_at != previous {
                backoff.reset();
            }
            sleep(backoff.next(error.retry_after())).await;
        }
    }

    fn session(&self) -> Session<'_> {
        let UplinkSettings { device, bearer, ack_timeout, .. } = &self.settings;
        let (bearer, sources) = (bearer.as_ref(), self.sources.as_ref());
        Session { store: &self.store, device, bearer, ack_timeout: *ack_timeout, link: &self.link, sources }
    }

    /// Logs each new reason once, so that an outage of a week is one line.
    fn report_error(&self, error: &UplinkError) {
        let is_new = self.link.borrow().last_error.as_deref() != Some(&error.to_string());
        if is_new {
            tracing::warn!(%error, "not connected to the cloud; frames wait in the spool");
        }
        self.link.send_modify(|link| link.set_ended(error));
    }
}
