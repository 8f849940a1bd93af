//! Windows of growing files that are being stored. The position in a file advances once its windows are on the disk; if the
//! spool is full, the source reads them again later.

use std::{path::PathBuf, sync::Arc};

use lopside_capture::tail::TailMark;
use lopside_uplink::StoreOutcome;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::source_state::SourceState;
use crate::EdgeError;

/// Capacity of the queue of windows.
const WINDOW_QUEUE: usize = 64;

/// A window that was sent to the store.
#[derive(Debug)]
pub(super) struct AppendedWindow {
    pub(super) mark: TailMark,
    pub(super) outcome: oneshot::Receiver<StoreOutcome>,
    pub(super) source: Arc<SourceState>,
}

/// The rows of a growing file wait in the file.
#[derive(Debug, thiserror::Error)]
#[error(
    "the spool is full; the rows of {} wait in the file until frames have been delivered or the disk has space",
    path.display()
)]
struct RowsWait {
    path: PathBuf,
}

/// Starts the task that waits for windows to be stored, and returns its queue. The task ends with the encoder.
pub(super) fn start() -> (mpsc::Sender<AppendedWindow>, JoinHandle<()>) {
    let (windows, mut queue) = mpsc::channel::<AppendedWindow>(WINDOW_QUEUE);
    let task = tokio::spawn(async move {
        while let Some(window) = queue.recv().await {
            settle_window(window).await;
        }
    });
    (windows, task)
}

/// Waits for the outcome of a window. If it is not stored, its mark is dropped, and the source reads it again.
async fn settle_window(window: AppendedWindow) {
    let AppendedWindow { mark, outcome, source } = window;
    let path = mark.path().to_owned();
    match outcome.await {
        Ok(StoreOutcome::Stored) => {}
        Ok(StoreOutcome::TooLarge) => source.record_failure(&EdgeError::FrameTooLarge { path }),
        Ok(StoreOutcome::Refused) => {
            source.report_problem(&RowsWait { path });
            return;
        }
        // The store has ended.
        Err(_) => return,
    }
    let marked = tokio::task::spawn_blocking(move || mark.mark_stored());
    if let Ok(Err(error)) = marked.await {
        source.report_problem(&error);
    }
}
