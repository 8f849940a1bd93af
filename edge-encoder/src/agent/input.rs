use std::{
    collections::BTreeSet,
    error::Error,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::SystemTime,
};

use lopside_capture::{Picture, folder::Taken};
use lopside_spool::Class;

use super::{SourceSettings, tally::SourceTally};

/// An input from a source for the encoder.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) what: Work,
    pub(super) at: SystemTime,
    pub(super) source: Arc<SourceOf>,
}

/// The data to encode.
#[derive(Debug)]
pub(super) enum Work {
    Picture(Picture),
    Rows(Vec<f32>),
    File(File),
}

/// A file, and the indices of those of its inputs that are stored already.
#[derive(Debug)]
pub(super) struct File {
    pub(super) taken: Taken,
    pub(super) stored: BTreeSet<usize>,
}

/// The name, class and counters of a source, shared by all of its inputs.
#[derive(Debug)]
pub(super) struct SourceOf {
    pub(super) name: String,
    pub(super) class: Class,
    /// Frames of at least this many bits are of the class `high`; `None` disables the rule.
    pub(super) high_bits: Option<u64>,
    pub(super) tally: SourceTally,
}

impl SourceOf {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            name: settings.name.clone(),
            class: settings.class,
            high_bits: settings.high_bits,
            tally: SourceTally::default(),
        }
    }

    /// Returns the class of a frame: one with many bits is unusual.
    pub(super) fn class_of(&self, frame: &[u8]) -> Class {
        let bits = 8 * frame.len() as u64;
        if self.high_bits.is_some_and(|high| bits >= high) { Class::High } else { self.class }
    }

    /// Counts and reports an input that could not be read or encoded.
    pub(super) fn fail(&self, error: &dyn Error) {
        self.tally.failed.fetch_add(1, Ordering::Relaxed);
        self.say(error);
    }

    /// Reports a problem, once per reason.
    pub(super) fn say(&self, error: &dyn Error) {
        let told = error.to_string();
        let mut last = self.tally.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&told) {
            tracing::warn!(source = self.name, error = told, "an input could not be processed");
        }
        *last = Some(told);
    }
}
