//! The agent's status: a report for people and machines, which a Unix socket serves as JSON.

mod socket;
mod source_report;
mod spool_report;
mod uplink_report;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use lopside_telemetry::printable::PrintableLines;
use lopside_uplink::{LinkState, StoreSnapshot};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    counters::AgentCounters,
    update::{UpdateReport, UpdateStatus},
};

pub(super) use self::socket::{check_unused, serve};
pub use self::{
    socket::request_status,
    source_report::SourceReport,
    spool_report::{ClassReport, SpoolReport},
    uplink_report::UplinkReport,
};

/// The sources of a status report.
#[derive(Debug, Clone)]
pub struct StatusSource {
    pub(super) counters: Arc<AgentCounters>,
    pub(super) store: watch::Receiver<StoreSnapshot>,
    pub(super) link: watch::Receiver<LinkState>,
    pub(super) updates: Option<UpdateStatus>,
    pub(super) started_at: Instant,
}

/// A status report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentReport {
    /// The device's name.
    pub device: String,
    /// The version of the agent.
    pub version: String,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// The name of the bundle.
    pub bundle: Option<String>,
    /// The identifier of the latent space.
    pub latent_space: Option<String>,
    /// The quality of the last frame, 1 to 100; `null` without that setting.
    pub quality: Option<u64>,
    /// Maximum number of layers of the last frame.
    pub layers: u64,
    /// The connection to the cloud.
    pub uplink: UplinkReport,
    /// Updates over the air; `null` without a channel.
    #[serde(default)]
    pub update: Option<UpdateReport>,
    /// The spool.
    pub spool: SpoolReport,
    /// The sources.
    pub sources: Vec<SourceReport>,
}

impl StatusSource {
    /// Returns the current status.
    #[must_use]
    pub fn report(&self) -> AgentReport {
        let [bundle, latent_space] = self.counters.bundle().map(Some);
        let quality = Some(self.counters.quality.load(Ordering::Relaxed)).filter(|quality| *quality > 0);
        AgentReport {
            device: self.counters.device.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started_at.elapsed().as_secs_f64(),
            bundle,
            latent_space,
            quality,
            layers: self.counters.layers.load(Ordering::Relaxed),
            uplink: UplinkReport::new(&self.counters.endpoint, &self.link.borrow()),
            update: self.updates.as_ref().map(UpdateStatus::report),
            spool: SpoolReport::new(self.counters.budget_bytes, &self.store.borrow()),
            sources: self.counters.sources.iter().map(|source| SourceReport::new(source)).collect(),
        }
    }
}

impl AgentReport {
    /// Returns a copy without the values that change with time alone.
    #[must_use]
    pub fn without_times(&self) -> Self {
        let uplink = self.uplink.without_times();
        let update = self.update.as_ref().map(UpdateReport::without_times);
        let mut report = Self { uptime_seconds: 0.0, uplink, update, ..self.clone() };
        report.sources.iter_mut().for_each(|source| source.last_input_seconds = None);
        report
    }

    /// Formats the report for people, without characters that a terminal would obey.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = PrintableLines::default();
        // Writing to memory cannot fail.
        let _ = self.write_text(&mut text);
        text.into_text()
    }

    fn write_text(&self, out: &mut PrintableLines) -> std::fmt::Result {
        let [bundle, space] = [&self.bundle, &self.latent_space].map(|name| name.as_deref().unwrap_or("-"));
        writeln!(out, "{}, up {:.0} s, bundle {bundle} ({space})", self.device, self.uptime_seconds)?;
        self.uplink.write_text(out)?;
        if let Some(update) = &self.update {
            update.write_text(out)?;
        }
        self.spool.write_text(out)?;
        self.sources.iter().try_for_each(|source| source.write_text(out))
    }
}
