use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use lopside_capture::{CapturedImage, CapturedWindow, folder::TakenFile, tail::TailedWindow};

use super::source_state::SourceState;

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
    Window(CapturedWindow),
    Tailed(TailedWindow),
    File(PendingFile),
}

/// A file, and what has become of its inputs so far.
#[derive(Debug)]
pub(super) struct PendingFile {
    pub(super) source_file: TakenFile,
    /// The indices of the inputs that are stored or were dropped, and are not encoded again.
    pub(super) finished_inputs: BTreeSet<usize>,
    /// Number of inputs, from the first on, that were encoded before. They are not counted again when the file is tried
    /// again.
    pub(super) counted_inputs: usize,
    /// Whether an input was dropped, because its frame is too large.
    pub(super) has_dropped_input: bool,
    /// Whether lines of its table were refused.
    pub(super) has_refused_rows: bool,
    /// Whether the rows of its table were counted.
    pub(super) are_rows_counted: bool,
    /// The mark of a file that the spool has refused; `None` before.
    pub(super) waiting: Option<WaitingMark>,
}

impl PendingFile {
    /// Creates a file of which these inputs are stored already.
    pub(super) fn new(source_file: TakenFile, stored_inputs: BTreeSet<usize>) -> Self {
        Self {
            source_file,
            finished_inputs: stored_inputs,
            counted_inputs: 0,
            has_dropped_input: false,
            has_refused_rows: false,
            are_rows_counted: false,
            waiting: None,
        }
    }
}

/// Counts a file as waiting, until it is dropped.
#[derive(Debug)]
pub(super) struct WaitingMark(Arc<SourceState>);

impl WaitingMark {
    /// Counts a file that the spool has refused. The first one is logged.
    pub(super) fn new(source: &Arc<SourceState>, file: &TakenFile) -> Self {
        if source.counters.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                source = source.name,
                file = %file.path().display(),
                "the spool is full; the file waits until frames have been delivered or the disk has space"
            );
        }
        Self(Arc::clone(source))
    }
}

impl Drop for WaitingMark {
    fn drop(&mut self) {
        self.0.counters.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
