//! Files whose frames are being stored. A file is done once all of its frames are on the disk; if the spool
//! is full, the file waits until there may be space.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use lopside_capture::StopHandle;
use lopside_uplink::StoreSnapshot;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    file_appends::FileAppends,
    input::{EncodeJob, JobInput, PendingFile, WaitingMark},
    retries::Retries,
    source_state::SourceState,
};
use crate::EdgeError;

/// Capacity of the queue of encoded files.
const FILE_QUEUE: usize = 64;
/// Interval at which one waiting file per source is tried, because another program may have freed some of the disk.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// A file whose inputs are all encoded, or whose encoding ended because the spool is full.
#[derive(Debug)]
pub(super) struct EncodedFile {
    pub(super) file: PendingFile,
    pub(super) appends: FileAppends,
    /// Number of records that were settled before the first of these appends. Each later one may have made room.
    pub(super) settled_before: u64,
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
    let retries = Retries::new(store, inputs, RETRY_INTERVAL);
    let task = tokio::spawn(async move {
        while let Some(encoded) = queue.recv().await {
            let settled_before = encoded.settled_before;
            let refused = finish_file(encoded, &retries).await;
            if let Some(job) = refused.filter(|_| !stop.is_stopped()) {
                retries.start(job, settled_before);
            }
        }
    });
    (files, task)
}

/// Waits for the outcomes of a file: marks it as done or as failed, or returns it if the spool is full.
async fn finish_file(encoded: EncodedFile, retries: &Retries) -> Option<EncodeJob> {
    let EncodedFile { mut file, appends, captured_at, source, .. } = encoded;
    let outcomes = appends.finish().await;
    if outcomes.has_store_ended {
        // The file is captured again after the next start.
        return None;
    }
    file.finished_inputs.extend(outcomes.finished_inputs);
    file.has_dropped_input |= outcomes.has_dropped_input;
    if outcomes.is_refused {
        let PendingFile { source_file, waiting, .. } = &mut file;
        waiting.get_or_insert_with(|| WaitingMark::new(&source, source_file));
        return Some(EncodeJob { input: JobInput::File(file), captured_at, source });
    }
    if file.waiting.is_some() {
        retries.report_stored();
    }
    settle_file(file, &source).await;
    None
}

/// Marks a file as done, or as failed if one of its inputs was dropped or a line of its table was refused.
async fn settle_file(file: PendingFile, source: &SourceState) {
    let PendingFile { source_file, has_dropped_input, has_refused_rows, waiting, .. } = file;
    if has_dropped_input {
        source.record_failure(&EdgeError::FrameTooLarge { path: source_file.path().to_owned() });
    }
    let marked = tokio::task::spawn_blocking(move || {
        let is_incomplete = has_dropped_input || has_refused_rows;
        if is_incomplete { source_file.mark_failed() } else { source_file.mark_done() }
    });
    if let Ok(Err(error)) = marked.await {
        source.report_problem(&error);
    }
    // It counts as waiting until now.
    drop(waiting);
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path, sync::atomic::Ordering, time::UNIX_EPOCH};

    use lopside_capture::{
        CapturedInput, Source as _, SourceContext,
        folder::{DoneAction, FolderOptions, FolderSource},
    };
    use lopside_uplink::StoreOutcome::{self, Refused, Stored, TooLarge};

    use super::*;
    use crate::agent::{
        file_appends::tests::answered, rate_control::tests::state, source_state::tests::source,
    };

    /// Takes the only file of a folder. Files that are done are deleted.
    fn take_file(folder: &Path, stop: &StopHandle) -> PendingFile {
        let options =
            FolderOptions { settle_time: Duration::ZERO, ..FolderOptions::new(folder, DoneAction::Delete) };
        let mut folder = FolderSource::open(SourceContext::new("inbox", stop), options).unwrap();
        match folder.next().unwrap().unwrap().input {
            CapturedInput::File(source_file) => PendingFile::new(source_file, BTreeSet::new()),
            other => panic!("{other:?}"),
        }
    }

    fn encoded(file: PendingFile, source: &Arc<SourceState>, outcomes: &[StoreOutcome]) -> EncodedFile {
        let (appends, source) = (answered(outcomes), Arc::clone(source));
        EncodedFile { file, appends, settled_before: 0, captured_at: UNIX_EPOCH, source }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_file_counts_as_waiting_until_it_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        fs::write(&path, b"image").unwrap();
        let (stop, source) = (StopHandle::new().unwrap(), source());
        let file = take_file(folder.path(), &stop);
        let (_published, store) = watch::channel(state(0, 0.0).0);
        let (inputs, mut queue) = mpsc::channel(1);
        let (files, task) = start(store, inputs.downgrade(), stop);
        let waiting = || source.counters.waiting.load(Ordering::Relaxed);

        files.send(encoded(file, &source, &[Stored, Refused])).await.unwrap();
        let JobInput::File(file) = queue.recv().await.unwrap().input else { panic!("it is a file") };
        assert_eq!((file.finished_inputs.clone(), waiting()), (BTreeSet::from([0]), 1));
        files.send(encoded(file, &source, &[Refused])).await.unwrap();
        let JobInput::File(file) = queue.recv().await.unwrap().input else { panic!("it is a file") };
        assert_eq!(waiting(), 1);
        files.send(encoded(file, &source, &[Stored])).await.unwrap();
        drop(files);
        task.await.unwrap();
        assert_eq!((path.exists(), waiting()), (false, 0));
    }

    #[tokio::test]
    async fn a_file_with_a_frame_that_is_too_large_does_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), b"image").unwrap();
        let (stop, source) = (StopHandle::new().unwrap(), source());
        let file = take_file(folder.path(), &stop);
        let (_published, store) = watch::channel(state(0, 0.0).0);
        let (inputs, mut queue) = mpsc::channel(1);
        let (files, task) = start(store, inputs.downgrade(), stop);
        files.send(encoded(file, &source, &[Stored, TooLarge])).await.unwrap();
        drop((files, inputs));
        task.await.unwrap();
        assert!(queue.recv().await.is_none());
        assert!(folder.path().join("failed/a.png").exists());
        assert_eq!(source.counters.failed.load(Ordering::Relaxed), 1);
        let error = source.counters.last_error.lock().unwrap().clone().unwrap();
        assert!(error.contains("a.png") && error.contains("too large"), "{error}");
    }
}
