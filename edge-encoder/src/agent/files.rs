//! Files whose frames are on their way to the disk. When it has them all, the file is done; when the spool is full, the
//! file waits until something of it has been sent.

use std::{sync::Arc, time::SystemTime};

use lopside_capture::Stop;
use lopside_uplink::{Outcome, Snapshot};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::input::{File, Job, SourceOf, Work};

/// Files that are on their way.
const FILES: usize = 64;

/// A file whose inputs are all encoded.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) file: File,
    /// What becomes of each input's frame.
    pub(super) outcomes: Vec<(usize, oneshot::Receiver<Outcome>)>,
    pub(super) at: SystemTime,
    pub(super) source: Arc<SourceOf>,
}

/// Where the encoder leaves files, and the task that waits for them; it ends with the encoder.
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

/// The file is done, or comes back with what the store has of it.
async fn finish(encoded: Encoded) -> (Option<File>, Arc<SourceOf>, SystemTime) {
    let Encoded { mut file, outcomes, at, source } = encoded;
    let mut refused = false;
    for (index, outcome) in outcomes {
        match outcome.await {
            Ok(Outcome::Stored) => {
                file.stored.insert(index);
            }
            Ok(Outcome::Refused) => refused = true,
            // The store has stopped: the file comes again after the next start.
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

/// Gives a file to the encoder again, when something has left the spool.
async fn again(job: Job, mut store: watch::Receiver<Snapshot>, inputs: mpsc::WeakSender<Job>) {
    tracing::warn!(source = job.source.name, "the spool is full: a file waits");
    let delivered =
        |state: &Snapshot| state.classes.iter().map(|(counters, _)| counters.delivered).sum::<u64>();
    let before = delivered(&store.borrow());
    let sent = store.wait_for(|state| delivered(state) > before).await.is_ok();
    if sent && let Some(inputs) = inputs.upgrade() {
        let _ = inputs.send(job).await;
    }
}
