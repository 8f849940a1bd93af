use std::{
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use lopside_bundle::TableSpec;
use lopside_capture::{InputCounts, LiveCounts, rows::RowCounts};
use lopside_delivery::Class;
use lopside_encoder::ImagePolicy;
use tokio::sync::Mutex as AsyncMutex;

use super::{
    SourceSettings, image_notes::NoteCounters, reduction::reduction_warning, source_liveness::SourceLiveness,
};

/// The name, class and counters of a source, shared by all of its inputs.
#[derive(Debug)]
pub(super) struct SourceState {
    pub(super) name: String,
    pub(super) class: Class,
    /// Frames of at least this many bits are of the class `high`; `None` disables the rule.
    pub(super) min_high_bits: Option<u64>,
    pub(super) counters: SourceCounters,
    pub(super) liveness: SourceLiveness,
    /// The rules by which images are read.
    pub(super) image_policy: ImagePolicy,
    /// The form of its tables; keys that are missing are those of the bundle.
    pub(super) table: TableSpec,
    /// Held by the waiting file that is tried next although nothing shows that the spool has space.
    pub(super) retry_turn: AsyncMutex<()>,
    /// Whether it was reported that the bundle reduces the images to a small part of their pixels.
    is_reduction_reported: AtomicBool,
}

/// Counters of a source since the start.
#[derive(Debug, Default)]
pub(super) struct SourceCounters {
    /// The counts of the source itself.
    pub(super) live: Arc<LiveCounts>,
    /// What has become of the rows of its files.
    file_rows: Mutex<RowCounts>,
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
    /// Counters of images that were encoded although something about them was unusual.
    pub(super) notes: NoteCounters,
}

impl SourceState {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            name: settings.name.clone(),
            class: settings.class,
            min_high_bits: settings.min_high_bits,
            counters: SourceCounters::default(),
            liveness: SourceLiveness::new(settings.silence_limit()),
            image_policy: ImagePolicy::default(),
            table: settings.table.clone(),
            retry_turn: AsyncMutex::default(),
            is_reduction_reported: AtomicBool::new(false),
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
        self.report(error.to_string());
    }

    /// Reports once that a bundle reduces images of this size to a small part of their pixels.
    pub(super) fn report_reduction(&self, bundle: &str, size: [u32; 2], reduced: (u32, u32)) {
        if !self.is_reduction_reported.swap(true, Ordering::Relaxed) {
            self.report(reduction_warning(bundle, size, reduced));
        }
    }

    fn report(&self, message: String) {
        let mut last = self.counters.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&message) {
            tracing::warn!(source = self.name, error = message, "an input could not be processed");
        }
        *last = Some(message);
    }
}

impl SourceCounters {
    pub(super) fn set_counts(&self, counts: InputCounts) {
        self.live.set(counts);
    }

    pub(super) fn input_counts(&self) -> InputCounts {
        self.live.get()
    }

    /// Counts the rows of a file.
    pub(super) fn add_file_rows(&self, rows: RowCounts) {
        *self.file_rows.lock().unwrap_or_else(PoisonError::into_inner) += rows;
    }

    /// Returns what has become of the rows of streams and files.
    pub(super) fn rows(&self) -> RowCounts {
        let mut rows = self.input_counts().rows;
        rows += *self.file_rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows
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
            table: TableSpec::default(),
            class: Class::Normal,
            min_high_bits: None,
            max_silence: None,
        }))
    }
}
