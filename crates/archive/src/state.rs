use tokio::sync::{Mutex, MutexGuard, watch};

use crate::ArchiveError;

/// Whether the archive stores frames, as its last write showed.
#[derive(Debug, Clone, Default)]
pub enum ArchiveState {
    /// The last write is durable, or nothing was written yet.
    #[default]
    Writable,
    /// The last write failed, and every other batch would fail for the same reason.
    Failing(ArchiveError),
}

/// Publishes and logs changes of the [`ArchiveState`].
#[derive(Debug, Default)]
pub(crate) struct StateMonitor {
    state: watch::Sender<ArchiveState>,
    /// Held by the call that tests whether writes succeed again.
    recovery: Mutex<()>,
}

impl StateMonitor {
    pub(crate) fn subscribe(&self) -> watch::Receiver<ArchiveState> {
        self.state.subscribe()
    }

    /// Returns the reason why writes fail; `None` if they succeed.
    pub(crate) fn failure(&self) -> Option<ArchiveError> {
        match &*self.state.borrow() {
            ArchiveState::Writable => None,
            ArchiveState::Failing(reason) => Some(reason.clone()),
        }
    }

    /// Returns the reason why the writer does not answer.
    pub(crate) fn writer_failure(&self) -> ArchiveError {
        match self.failure() {
            Some(failure @ ArchiveError::WriterFailed { .. }) => failure,
            _ => ArchiveError::WriterFailed { cause: "it has ended".to_owned() },
        }
    }

    /// Reports that the writer has failed. The state does not change any more.
    pub(crate) fn report_writer_failure(&self, cause: String) {
        let error = ArchiveError::WriterFailed { cause };
        tracing::error!(%error, "the archive does not store frames any more");
        self.state.send_replace(ArchiveState::Failing(error));
    }

    /// Returns a guard for the one call that may test whether writes succeed again; `None` during such a test.
    pub(crate) fn try_recover(&self) -> Option<MutexGuard<'_, ()>> {
        self.recovery.try_lock().ok()
    }

    /// Updates the state from the result of an operation that always writes, and returns the result.
    pub(crate) fn observe_write<T>(&self, result: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        if result.is_ok() {
            self.report_success();
        }
        self.observe_failure(result)
    }

    /// Updates the state if an operation failed, and returns its result. Success does not change the state, because
    /// the operation may have had nothing to write.
    pub(crate) fn observe_failure<T>(&self, result: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        if let Err(error) = &result
            && error.is_outage()
        {
            self.report_outage(error);
        }
        result
    }

    fn report_success(&self) {
        self.state.send_if_modified(|state| {
            let is_change =
                matches!(state, ArchiveState::Failing(reason) if !matches!(reason, ArchiveError::WriterFailed { .. }));
            if is_change {
                tracing::info!("the archive stores frames again");
                *state = ArchiveState::Writable;
            }
            is_change
        });
    }

    fn report_outage(&self, error: &ArchiveError) {
        self.state.send_if_modified(|state| {
            let is_change = match state {
                ArchiveState::Writable => true,
                ArchiveState::Failing(ArchiveError::WriterFailed { .. }) => false,
                ArchiveState::Failing(reason) => {
                    std::mem::discriminant(reason) != std::mem::discriminant(error)
                }
            };
            if is_change {
                tracing::error!(%error, "the archive does not store frames");
                *state = ArchiveState::Failing(error.clone());
            }
            is_change
        });
    }
}
