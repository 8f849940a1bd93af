use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use lopside_capture::{CapturedImage, folder::TakenFile};

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
    Window(Vec<f32>),
    File(PendingFile),
}

/// A file, and the indices of those of its inputs that are stored already.
#[derive(Debug)]
pub(super) struct PendingFile {
    pub(super) source_file: TakenFile,
    pub(super) stored_inputs: BTreeSet<usize>,
}
