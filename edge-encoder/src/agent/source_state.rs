use std::{
    error::Error,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use lopside_capture::InputCounts;
use lopside_delivery::Class;
use tokio::sync::Mutex as AsyncMutex;

use super::SourceSettings;

/// The name, class and counters of a source, shared by all of its inputs.
#[derive(Debug)]
pub(super) struct SourceState {
    pub(super) name: String,
    pub(super) class: Class,
    /// Frames of at least this many bits are of the class `high`; `None` disables the rule.
    pub(super) min_high_bits: Option<u64>,
    pub(super) counters: SourceCounters,
    /// Held by the waiting file that is tried next although nothing shows that the spool has space.
    pub(super) retry_turn: AsyncMutex<()>,
}

/// Counters of a source since the start.
#[derive(Debug, Default)]
pub(super) struct SourceCounters {
    input_counts: Mutex<InputCounts>,
    /// Number of inputs that the rate cap dropped.
    pub(super) too_fast: AtomicU64,
    /// Number of images that the scene gate dropped.
    pub(super) unchanged: AtomicU64,
    /// Number of inputs that could not be read or encoded.
    pub(super) failed: AtomicU64,
    /// Number of files that wait until the spool has space.
    pub(super) waiting: AtomicU64,
    /// Number of frames encoded.
    pub(super) encoded: AtomicU64,
    /// Size of these frames, in bytes.
    pub(super) bytes: AtomicU64,
    pub(super) last_error: Mutex<Option<String>>,
}

impl SourceState {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            name: settings.name.clone(),
            class: settings.class,
            min_high_bits: settings.min_high_bits,
            counters: SourceCounters::default(),
            retry_turn: AsyncMutex::default(),
        }
    }

    /// Returns the class of a frame: one with many bits is unusual.
    pub(super) fn frame_class(&self, frame: &[u8]) -> Class {
        let bits = 8 * frame.len() as u64;
        if self.min_high_bits.is_some_and(|min_bits| bits >= min_bits) { Class::High } else { self.class }
    }

    /// Counts and reports an input that could not be read or encoded.
    pub(super) fn record_failure(&self, error: &dyn Error) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        self.report_problem(error);
    }

    /// Reports a problem, once per reason.
    pub(super) fn report_problem(&self, error: &dyn Error) {
        let message = error.to_string();
        let mut last = self.counters.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&message) {
            tracing::warn!(source = self.name, error = message, "an input could not be processed");
        }
        *last = Some(message);
    }
}

impl SourceCounters {
    pub(super) fn set_counts(&self, counts: InputCounts) {
        *self.input_counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    pub(super) fn input_counts(&self) -> InputCounts {
        *self.input_counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use lopside_capture::stream::StreamFormat;

    use super::*;
    use crate::agent::{FilterSettings, SourceKind};

    /// Returns the state of a source that has not captured anything.
    pub(in crate::agent) fn source() -> Arc<SourceState> {
        Arc::new(SourceState::new(&SourceSettings {
            name: "inbox".into(),
            kind: SourceKind::Stdin { format: StreamFormat::Auto },
            filters: FilterSettings { max_inputs_per_second: None, scene_gate: None },
            class: Class::Normal,
            min_high_bits: None,
        }))
    }
}
