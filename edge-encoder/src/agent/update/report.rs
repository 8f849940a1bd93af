use std::{fmt::Write, sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Book;

/// Where it is told how bundles come over the air.
#[derive(Debug, Clone)]
pub(crate) struct Updates {
    pub(super) channel: String,
    pub(super) book: Arc<Book>,
    pub(super) progress: watch::Receiver<Progress>,
}

/// How the last question to the channel went.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// When its answer came.
    pub(super) checked: Option<Instant>,
    /// The latent space that it offers.
    pub(super) offered: Option<String>,
    pub(super) last_error: Option<String>,
}

/// How bundles come over the air.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateReport {
    /// The channel's name.
    pub channel: String,
    /// How the bundle that encodes stands: `configured`, `on probation`, `confirmed` or `rolled back`.
    pub state: String,
    /// The latent space that the channel offers.
    pub offered: Option<String>,
    /// Seconds since the channel answered.
    pub checked_seconds: Option<f64>,
    /// Why nothing could be asked or taken, the last time.
    pub last_error: Option<String>,
    /// Which bundle is not taken, and why.
    pub refused: Option<String>,
}

impl Updates {
    /// All of it, now.
    pub(crate) fn report(&self) -> UpdateReport {
        let (state, progress) = (self.book.state(), self.progress.borrow().clone());
        let refused = state.refused.last();
        UpdateReport {
            channel: self.channel.clone(),
            state: state.phase().name().to_owned(),
            offered: progress.offered,
            checked_seconds: progress.checked.map(|at| at.elapsed().as_secs_f64()),
            last_error: progress.last_error,
            refused: refused.map(|refused| {
                let release = &refused.release;
                format!("{} ({}): {}", release.bundle, release.latent_space, refused.reason)
            }),
        }
    }
}

impl UpdateReport {
    /// What does not change by time alone.
    pub(crate) fn lasting(&self) -> Self {
        Self { checked_seconds: None, ..self.clone() }
    }

    /// For people.
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { channel, state, .. } = self;
        match self.checked_seconds {
            Some(seconds) => writeln!(out, "bundle: {state}, channel {channel} asked {seconds:.0} s ago")?,
            None => writeln!(out, "bundle: {state}, channel {channel} not asked yet")?,
        }
        for (what, said) in [("refused", &self.refused), ("last", &self.last_error)] {
            if let Some(said) = said {
                writeln!(out, "  {what}: {said}")?;
            }
        }
        Ok(())
    }
}
