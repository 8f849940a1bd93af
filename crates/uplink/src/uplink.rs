//! Connections, one after the other.

use std::{future::Future, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{Store, UplinkError, backoff::Backoff, session::Session};

/// How the uplink goes about it.
#[derive(Debug, Clone)]
pub struct UplinkSettings {
    /// The device's name: 1 to 128 visible ASCII characters.
    pub device: String,
    /// What goes along as `authorization`.
    pub bearer: Option<MetadataValue<Ascii>>,
    /// How long an acknowledgement may take before the connection counts as broken.
    pub patience: Duration,
    /// The longest pause between two tries.
    pub longest_pause: Duration,
}

/// How the connection is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Link {
    /// Since when there is one.
    pub connected: Option<Instant>,
    /// Connections so far.
    pub connections: u64,
    /// Why the last one ended, or there is none.
    pub last_error: Option<String>,
    /// When the last acknowledgement came.
    pub acknowledged: Option<Instant>,
    /// Bytes a second that were acknowledged lately, at best; 0 when nothing was.
    pub rate: f64,
    /// The shortest time lately from a message to its acknowledgement.
    pub round_trip: Option<Duration>,
}

impl Link {
    pub(crate) fn connected(&mut self) {
        self.connected = Some(Instant::now());
        self.connections += 1;
        self.last_error = None;
    }

    pub(crate) fn acknowledged(&mut self, rate: f64, round_trip: Option<Duration>) {
        self.acknowledged = Some(Instant::now());
        (self.rate, self.round_trip) = (rate, round_trip);
    }

    fn ended(&mut self, error: &UplinkError) {
        self.connected = None;
        self.rate = 0.0;
        self.last_error = Some(error.to_string());
    }
}

/// Sends what a store has, over one connection after the other.
#[derive(Debug)]
pub struct Uplink {
    store: Store,
    settings: UplinkSettings,
    link: watch::Sender<Link>,
}

impl Uplink {
    /// An uplink that has not connected yet.
    #[must_use]
    pub fn new(store: Store, settings: UplinkSettings) -> Self {
        Self { store, settings, link: watch::Sender::new(Link::default()) }
    }

    /// How the connection is, and each time that this changes.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Connects, sends until the connection ends, and connects again; until the store has stopped.
    pub async fn run<C, F>(&self, connect: C)
    where
        C: Fn() -> F,
        F: Future<Output = Result<Channel, UplinkError>>,
    {
        let mut backoff = Backoff::new(self.settings.longest_pause);
        loop {
            let before = self.link.borrow().acknowledged;
            let error = match connect().await {
                Ok(channel) => self.session().run(channel).await,
                Err(error) => error,
            };
            if matches!(error, UplinkError::Stopped) || self.store.rewind().await.is_err() {
                return;
            }
            self.tell(&error);
            if self.link.borrow().acknowledged != before {
                backoff.reset();
            }
            sleep(backoff.next(error.retry_after())).await;
        }
    }

    fn session(&self) -> Session<'_> {
        let UplinkSettings { device, bearer, patience, .. } = &self.settings;
        let bearer = bearer.as_ref();
        Session { store: &self.store, device, bearer, patience: *patience, link: &self.link }
    }

    /// Once for each new reason: an outage of a week is one line.
    fn tell(&self, error: &UplinkError) {
        let is_new = self.link.borrow().last_error.as_deref() != Some(&error.to_string());
        if is_new {
            tracing::warn!(%error, "no uplink; frames wait in the spool");
        }
        self.link.send_modify(|link| link.ended(error));
    }
}
