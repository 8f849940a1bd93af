use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use lopside_capture::Counted;

use super::{AgentSettings, input::SourceOf};

/// What the agent has done since it was started.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) device: String,
    pub(super) endpoint: String,
    pub(super) budget: u64,
    pub(super) sources: Mutex<Vec<Arc<SourceOf>>>,
    /// How finely the last frame was encoded, 1 to 100; 0 where there is no such choice.
    pub(super) quality: AtomicU64,
    pub(super) layers: AtomicU64,
    pub(super) bundle: Mutex<Option<(String, String)>>,
}

/// What has gone through a source since the start.
#[derive(Debug, Default)]
pub(super) struct SourceTally {
    captured: Mutex<Counted>,
    /// Inputs that came too fast.
    pub(super) too_fast: AtomicU64,
    /// Pictures that showed nothing new.
    pub(super) unchanged: AtomicU64,
    /// Inputs that could not be read or encoded.
    pub(super) failed: AtomicU64,
    /// Frames made.
    pub(super) encoded: AtomicU64,
    /// Their bytes.
    pub(super) bytes: AtomicU64,
    pub(super) last_error: Mutex<Option<String>>,
}

impl Tally {
    pub(super) fn new(settings: &AgentSettings) -> Self {
        Self {
            device: settings.device.clone(),
            endpoint: settings.endpoint.clone(),
            budget: settings.budget,
            sources: Mutex::default(),
            quality: AtomicU64::new(0),
            layers: AtomicU64::new(0),
            bundle: Mutex::default(),
        }
    }
}

impl SourceTally {
    pub(super) fn count(&self, counted: Counted) {
        *self.captured.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }

    pub(super) fn counted(&self) -> Counted {
        *self.captured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something could not be read or encoded.
    pub(super) fn fail(&self, source: &str, error: &dyn std::error::Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.say(source, error);
    }

    /// Something is in the way, told once for each reason.
    pub(super) fn say(&self, source: &str, error: &dyn std::error::Error) {
        let told = error.to_string();
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&told) {
            tracing::warn!(source, error = told, "an input is passed over");
        }
        *last = Some(told);
    }
}
