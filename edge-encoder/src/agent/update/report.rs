use std::{sync::Arc, time::Instant};

use lopside_telemetry::printable::PrintableLines;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::StateStore;

/// Handle that reports the state of updates over the air.
#[derive(Debug, Clone)]
pub(crate) struct UpdateStatus {
    pub(super) channel: String,
    pub(super) states: Arc<StateStore>,
    pub(super) progress: watch::Receiver<PollProgress>,
}

/// The result of the last poll of the channel.
#[derive(Debug, Clone, Default)]
pub(super) struct PollProgress {
    /// Time of the last response.
    pub(super) responded_at: Option<Instant>,
    /// The latent space that the channel offers.
    pub(super) offered: Option<String>,
    pub(super) last_error: Option<String>,
}

/// The state of updates over the air.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateReport {
    /// The name of the channel.
    pub channel: String,
    /// The state of the current bundle: `configured`, `on probation`, `confirmed` or `rolled back`.
    pub state: String,
    /// The latent space that the channel offers; `null` before the first answer.
    pub offered: Option<String>,
    /// Seconds since the last answer of the channel; `null` before the first one.
    pub checked_seconds: Option<f64>,
    /// Reason why the last poll or installation failed; `null` if it succeeded.
    pub last_error: Option<String>,
    /// The refused bundle and the reason; `null` if none is refused.
    pub refused: Option<String>,
}

impl UpdateStatus {
    /// Returns the current state.
    pub(crate) fn report(&self) -> UpdateReport {
        let (state, progress) = (self.states.state(), self.progress.borrow().clone());
        let refused = state.refused.last();
        UpdateReport {
            channel: self.channel.clone(),
            state: state.phase().name().to_owned(),
            offered: progress.offered,
            checked_seconds: progress.responded_at.map(|at| at.elapsed().as_secs_f64()),
            last_error: progress.last_error,
            refused: refused.map(|refused| {
                let release = &refused.release;
                format!("{} ({}): {}", release.bundle, release.latent_space, refused.reason)
            }),
        }
    }
}

impl UpdateReport {
    /// Returns a copy without the values that change with time alone.
    pub(crate) fn without_times(&self) -> Self {
        Self { checked_seconds: None, ..self.clone() }
    }

    /// Writes the state for people.
    pub(crate) fn write_text(&self, out: &mut PrintableLines) -> std::fmt::Result {
        let Self { channel, state, .. } = self;
        match self.checked_seconds {
            Some(seconds) => writeln!(out, "bundle: {state}, channel {channel} polled {seconds:.0} s ago")?,
            None => writeln!(out, "bundle: {state}, channel {channel} not polled yet")?,
        }
        for (label, text) in [("refused", &self.refused), ("last error", &self.last_error)] {
            if let Some(text) = text {
                writeln!(out, "  {label}: {text}")?;
            }
        }
        Ok(())
    }
}
