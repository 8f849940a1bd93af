use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicU64};

use lopside_capture::Counted;

use super::{AgentSettings, input::SourceOf};
use crate::AnyEncoder;

/// Counters and labels of the agent since the start.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) device: String,
    pub(super) endpoint: String,
    pub(super) budget: u64,
    /// The name of the bundle and its latent space.
    bundle: Mutex<[String; 2]>,
    pub(super) sources: Vec<Arc<SourceOf>>,
    /// Quality of the last frame, 1 to 100; 0 for encoders without that setting.
    pub(super) quality: AtomicU64,
    pub(super) layers: AtomicU64,
}

/// Counters of a source since the start.
#[derive(Debug, Default)]
pub(super) struct SourceTally {
    captured: Mutex<Counted>,
    /// Number of inputs that the rate cap dropped.
    pub(super) too_fast: AtomicU64,
    /// Number of images that the scene gate dropped.
    pub(super) unchanged: AtomicU64,
    /// Number of inputs that could not be read or encoded.
    pub(super) failed: AtomicU64,
    /// Number of frames encoded.
    pub(super) encoded: AtomicU64,
    /// Size of these frames, in bytes.
    pub(super) bytes: AtomicU64,
    pub(super) last_error: Mutex<Option<String>>,
}

impl Tally {
    /// Creates counters at zero.
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

    /// Records the bundle of a new encoder.
    pub(super) fn use_bundle(&self, encoder: &AnyEncoder) {
        *self.bundle.lock().unwrap_or_else(PoisonError::into_inner) = named(encoder);
    }

    /// Returns the name of the bundle and its latent space.
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
