use std::{
    collections::BTreeSet,
    error::Error,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::SystemTime,
};

use lopside_capture::{CapturedImage, folder::TakenFile};
use lopside_delivery::Class;

use super::{SourceSettings, tally::SourceCounters};

/// An input from a source for the encoder.
#[derive(Debug)]
pub(super) struct EncodeJob {
    pub(super) input: JobInput,
    pub(super) captured_at: SystemTime,
    pub(super) source: Arc<SourceState>,
}

/// The data to encode.
#[derive(Debug)]
pub(super) enum JobInput {
    Image(CapturedImage),
    Window(Vec<f32>),
    File(PendingFile),
}

/// A file, and the indices of those of its inputs that are stored already.
#[derive(Debug)]
pub(super) struct PendingFile {
    pub(super) taken: TakenFile,
    pub(super) stored_inputs: BTreeSet<usize>,
}

/// The name, class and counters of a source, shared by all of its inputs.
#[derive(Debug)]
pub(super) struct SourceState {
    pub(super) name: String,
    pub(super) class: Class,
    /// Frames of at least this many bits are of the class `high`; `None` disables the rule.
    pub(super) min_high_bits: Option<u64>,
    pub(super) counters: SourceCounters,
}

impl SourceState {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            name: settings.name.clone(),
            class: settings.class,
            min_high_bits: settings.min_high_bits,
            counters: SourceCounters::default(),
        }
    }

    /// Returns the class of a frame: one with many bits is unusual.
    pub(super) fn frame_class(&self, frame: &[u8]) -> Class {
        let bits = 8 * frame.len() as u64;
        if self.min_high_bits.is_some_and(|high| bits >= high) { Class::High } else { self.class }
    }

    /// Counts and reports an input that could not be read or encoded.
    pub(super) fn record_failure(&self, error: &dyn Error) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        self.report_problem(error);
    }

    /// Reports a problem, once per reason.
    pub(super) fn report_problem(&self, error: &dyn Error) {
        let told = error.to_string();
        let mut last = self.counters.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&told) {
            tracing::warn!(source = self.name, error = told, "an input could not be processed");
        }
        *last = Some(told);
    }
}
