//! Files whose frames are being stored. A file is done once all of its frames are on the disk; if the spool
//! is full, the file waits until some records have been delivered.

use std::{sync::Arc, time::SystemTime};

use lopside_capture::Stop;
use lopside_uplink::{Outcome, Snapshot};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::input::{File, Job, SourceOf, Work};

/// Capacity of the queue of encoded files.
const FILES: usize = 64;

/// A file whose inputs are all encoded.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) file: File,
    /// The index of each input in the file, and the pending result of its append.
    pub(super) outcomes: Vec<(usize, oneshot::Receiver<Outcome>)>,
    pub(super) at: SystemTime,
    pub(super) source: Arc<SourceOf>,
}

/// Starts the task that waits for files to be stored, and returns its queue. The task ends with the encoder.
pub(super) fn start(
    store: watch::Receiver<Snapshot>,
    inputs: mpsc::WeakSender<Job>,
    stop: Stop,
) -> (mpsc::Sender<Encoded>, JoinHandle<()>) {
    let (files, mut queue) = mpsc::channel::<Encoded>(FILES);
    let task = tokio::spawn(async move {
        while let Some(encoded) = queue.recv().await {
            let (refused, source, at) = finish(encoded).await;
            let Some(file) = refused.filter(|_| !stop.is_stopped()) else { continue };
            tokio::spawn(again(Job { what: Work::File(file), at, source }, store.clone(), inputs.clone()));
        }
    });
    (files, task)
}

/// Waits for the results of a file: marks it as done, or returns it with the inputs stored so far if some
/// were refused.
async fn finish(encoded: Encoded) -> (Option<File>, Arc<SourceOf>, SystemTime) {
    let Encoded { mut file, outcomes, at, source } = encoded;
    let mut refused = false;
    for (index, outcome) in outcomes {
        match outcome.await {
            Ok(Outcome::Stored) => {
                file.stored.insert(index);
            }
            Ok(Outcome::Refused) => refused = true,
            // The store has stopped: the file is captured again after the next start.
            Err(_) => return (None, source, at),
        }
    }
    if refused {
        return (Some(file), source, at);
    }
    let done = tokio::task::spawn_blocking(move || file.taken.done()).await;
    if let Ok(Err(error)) = done {
        source.say(&error);
    }
    (None, source, at)
}

/// Returns a file to the encoder once records have been delivered from the spool.
async fn again(job: Job, mut store: watch::Receiver<Snapshot>, inputs: mpsc::WeakSender<Job>) {
    tracing::warn!(
        source = job.source.name,
        "the spool is full; the file waits until frames have been delivered"
    );
    let delivered =
        |state: &Snapshot| state.classes.iter().map(|(counters, _)| counters.delivered).sum::<u64>();
    let before = delivered(&store.borrow());
    let sent = store.wait_for(|state| delivered(state) > before).await.is_ok();
    if sent && let Some(inputs) = inputs.upgrade() {
        let _ = inputs.send(job).await;
    }
}
