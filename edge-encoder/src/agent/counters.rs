use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicU64};

use lopside_capture::Activity;
use lopside_encoder::AnyEncoder;

use super::{AgentSettings, SourceSettings, source_state::SourceState};

/// Counters and labels of the agent since the start.
#[derive(Debug)]
pub(super) struct AgentCounters {
    pub(super) device: String,
    pub(super) endpoint: String,
    pub(super) budget_bytes: u64,
    /// The name of the bundle and its latent space.
    bundle: Mutex<[String; 2]>,
    pub(super) sources: Vec<Arc<SourceState>>,
    /// Quality of the last frame, 1 to 100; 0 for encoders without that setting.
    pub(super) quality: AtomicU64,
    pub(super) layers: AtomicU64,
    /// The activity of the encoder's thread.
    pub(super) encoding: Activity,
}

impl AgentCounters {
    /// Creates counters at zero.
    pub(super) fn new(settings: &AgentSettings, encoder: &AnyEncoder) -> Self {
        Self {
            device: settings.device.clone(),
            endpoint: settings.endpoint.clone(),
            budget_bytes: settings.spool.budget_bytes,
            bundle: Mutex::new(bundle_label(encoder)),
            sources: settings.sources.iter().map(|source| Arc::new(new_source(source, settings))).collect(),
            quality: AtomicU64::new(0),
            layers: AtomicU64::new(0),
            encoding: Activity::default(),
        }
    }

    /// Records the bundle of a new encoder.
    pub(super) fn set_bundle(&self, encoder: &AnyEncoder) {
        *self.bundle.lock().unwrap_or_else(PoisonError::into_inner) = bundle_label(encoder);
    }

    /// Returns the name of the bundle and its latent space.
    pub(super) fn bundle(&self) -> [String; 2] {
        self.bundle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn new_source(source: &SourceSettings, settings: &AgentSettings) -> SourceState {
    let mut state = SourceState::new(source);
    state.image_policy = settings.images.policy;
    state
}

fn bundle_label(encoder: &AnyEncoder) -> [String; 2] {
    [encoder.name().to_owned(), encoder.latent_space().to_string()]
}
