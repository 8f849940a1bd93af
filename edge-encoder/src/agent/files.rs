//! Files whose frames are being stored. A file is done once all of its frames are on the disk; if the spool
//! is full, the file waits until some records have been delivered.

use std::{sync::Arc, time::SystemTime};

use lopside_capture::StopHandle;
use lopside_uplink::{StoreOutcome, StoreSnapshot};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    input::{EncodeJob, JobInput, PendingFile},
    source_state::SourceState,
};

/// Capacity of the queue of encoded files.
const FILE_QUEUE: usize = 64;

/// A file whose inputs are all encoded.
#[derive(Debug)]
pub(super) struct EncodedFile {
    pub(super) file: PendingFile,
    /// The index of each input in the file, and the pending result of its append.
    pub(super) outcomes: Vec<(usize, oneshot::Receiver<StoreOutcome>)>,
    pub(super) captured_at: SystemTime,
    pub(super) source: Arc<SourceState>,
}

/// Starts the task that waits for files to be stored, and returns its queue. The task ends with the encoder.
pub(super) fn start(
    store: watch::Receiver<StoreSnapshot>,
    inputs: mpsc::WeakSender<EncodeJob>,
    stop: StopHandle,
) -> (mpsc::Sender<EncodedFile>, JoinHandle<()>) {
    let (files, mut queue) = mpsc::channel::<EncodedFile>(FILE_QUEUE);
    let task = tokio::spawn(async move {
        while let Some(encoded) = queue.recv().await {
            let (refused, source, captured_at) = finish_file(encoded).await;
            let Some(file) = refused.filter(|_| !stop.is_stopped()) else { continue };
            tokio::spawn(retry_later(
                EncodeJob { input: JobInput::File(file), captured_at, source },
                store.clone(),
                inputs.clone(),
            ));
        }
    });
    (files, task)
}

/// Waits for the results of a file: marks it as done, or returns it with the inputs stored so far if some
/// were refused.
async fn finish_file(encoded: EncodedFile) -> (Option<PendingFile>, Arc<SourceState>, SystemTime) {
    let EncodedFile { mut file, outcomes, captured_at, source } = encoded;
    let mut refused = false;
    for (index, outcome) in outcomes {
        match outcome.await {
            Ok(StoreOutcome::Stored) => {
                file.stored_inputs.insert(index);
            }
            Ok(StoreOutcome::Refused) => refused = true,
            // The store has stopped: the file is captured again after the next start.
            Err(_) => return (None, source, captured_at),
        }
    }
    if refused {
        return (Some(file), source, captured_at);
    }
    let result = tokio::task::spawn_blocking(move || file.source_file.mark_done()).await;
    if let Ok(Err(error)) = result {
        source.report_problem(&error);
    }
    (None, source, captured_at)
}

/// Returns a file to the encoder once records have been delivered from the spool.
async fn retry_later(
    job: EncodeJob,
    mut store: watch::Receiver<StoreSnapshot>,
    inputs: mpsc::WeakSender<EncodeJob>,
) {
    tracing::warn!(
        source = job.source.name,
        "the spool is full; the file waits until frames have been delivered"
    );
    let delivered_before = count_delivered(&store.borrow());
    let has_progress = store.wait_for(|state| count_delivered(state) > delivered_before).await.is_ok();
    if has_progress && let Some(inputs) = inputs.upgrade() {
        let _ = inputs.send(job).await;
    }
}

fn count_delivered(state: &StoreSnapshot) -> u64 {
    state.classes.iter().map(|(counters, _)| counters.delivered).sum()
}
