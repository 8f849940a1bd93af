use std::{
    collections::BTreeSet,
    error::Error,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::SystemTime,
};

use lopside_capture::{Picture, folder::Taken};
use lopside_spool::Class;

use super::{SourceSettings, tally::SourceTally};

/// What a source gives to the encoder.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) what: Work,
    pub(super) at: SystemTime,
    pub(super) source: Arc<SourceOf>,
}

/// What is to be encoded.
#[derive(Debug)]
pub(super) enum Work {
    Picture(Picture),
    Rows(Vec<f32>),
    File(File),
}

/// A file, and which of its inputs the store has already.
#[derive(Debug)]
pub(super) struct File {
    pub(super) taken: Taken,
    pub(super) stored: BTreeSet<usize>,
}

/// What is known of a source by all that it gives.
#[derive(Debug)]
pub(super) struct SourceOf {
    pub(super) name: String,
    pub(super) class: Class,
    /// Frames of so many bits are of the class `high`.
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

    /// The class of a frame: what costs many bits is unusual.
    pub(super) fn class_of(&self, frame: &[u8]) -> Class {
        let bits = 8 * frame.len() as u64;
        if self.high_bits.is_some_and(|high| bits >= high) { Class::High } else { self.class }
    }

    /// Something could not be read or encoded.
    pub(super) fn fail(&self, error: &dyn Error) {
        self.tally.failed.fetch_add(1, Ordering::Relaxed);
        self.say(error);
    }

    /// Something is in the way, told once for each reason.
    pub(super) fn say(&self, error: &dyn Error) {
        let told = error.to_string();
        let mut last = self.tally.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&told) {
            tracing::warn!(source = self.name, error = told, "an input is passed over");
        }
        *last = Some(told);
    }
}
