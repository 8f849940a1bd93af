use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicU64};

use lopside_capture::Counted;

use super::{AgentSettings, input::SourceOf};
use crate::AnyEncoder;

/// What the agent has done since it was started.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) device: String,
    pub(super) endpoint: String,
    pub(super) budget: u64,
    /// The bundle's name and its latent space.
    bundle: Mutex<[String; 2]>,
    pub(super) sources: Vec<Arc<SourceOf>>,
    /// How finely the last frame was encoded, 1 to 100; 0 where there is no such choice.
    pub(super) quality: AtomicU64,
    pub(super) layers: AtomicU64,
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
    /// Nothing has been done yet.
    pub(super) fn new(settings: &AgentSettings, encoder: &AnyEncoder) -> Self {
        Self {
            device: settings.device.clone(),
            endpoint: settings.endpoint.clone(),
            budget: settings.budget,
            bundle: Mutex::new(named(encoder)),
            sources: settings.sources.iter().map(SourceOf::new).map(Arc::new).collect(),
            quality: AtomicU64::new(0),
            layers: AtomicU64::new(0),
        }
    }

    /// Another bundle encodes.
    pub(super) fn use_bundle(&self, encoder: &AnyEncoder) {
        *self.bundle.lock().unwrap_or_else(PoisonError::into_inner) = named(encoder);
    }

    /// The bundle's name and its latent space.
    pub(super) fn bundle(&self) -> [String; 2] {
        self.bundle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn named(encoder: &AnyEncoder) -> [String; 2] {
    [encoder.name().to_owned(), encoder.latent_space().to_string()]
}

impl SourceTally {
    pub(super) fn count(&self, counted: Counted) {
        *self.captured.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }

    pub(super) fn counted(&self) -> Counted {
        *self.captured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
