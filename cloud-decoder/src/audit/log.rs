use std::{
    fmt::Display,
    future::{Future, pending},
    panic,
    time::Duration,
};

use lopside_archive::{Archive, AuditEntry, AuditEvent};
use lopside_telemetry::metrics::{KeyValue, meter};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::Actor;
use crate::telemetry::request_context::keep_request;

/// Maximum wait for a row to be stored.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum length of a subject and of an outcome in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// The outcome of a change that was made.
const DONE: &str = "done";

/// The audit log of a server. Clones share the same log.
#[derive(Debug, Clone)]
pub(crate) struct AuditLog {
    /// The archive that stores the rows; `None` if the lines of the log are all there is.
    archive: Option<Archive>,
}

/// A change that is to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) actor: Actor,
    /// The kind of change, such as `bundle.load`.
    pub(crate) action: &'static str,
    /// The thing that is changed.
    pub(crate) subject: String,
}

impl AuditLog {
    pub(crate) fn new(archive: Option<Archive>) -> Self {
        for result in ["stored", "logged", "failed"] {
            count_entries(result, 0);
        }
        Self { archive }
    }

    /// Makes a change and records its outcome. Both happen even if the caller drops the future.
    ///
    /// # Errors
    /// The error of the action.
    pub(crate) async fn perform<T: Send + 'static, E: Display + Send + 'static>(
        &self,
        change: Change,
        action: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E> {
        let log = self.clone();
        let performed = async move {
            let result = action.await;
            let refusal = result.as_ref().err().map(|error| format!("refused: {error}"));
            log.record(change, refusal.unwrap_or_else(|| DONE.to_owned())).await;
            result
        };
        match tokio::spawn(keep_request(performed.in_current_span())).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(cause) => panic::resume_unwind(cause),
                // The runtime ends.
                Err(_) => pending().await,
            },
        }
    }

    /// Records a change that was made.
    pub(crate) async fn record_done(&self, change: Change, details: &str) {
        self.record(change, format!("{DONE}: {details}")).await;
    }

    /// Records a change that was not made.
    pub(crate) async fn record_refusal(&self, change: Change, reason: &str) {
        self.record(change, format!("refused: {reason}")).await;
    }

    async fn record(&self, change: Change, outcome: String) {
        let Change { actor: Actor { name, certificate, peer, request_id }, action, subject } = change;
        let event = AuditEvent {
            actor: name,
            certificate,
            peer,
            request_id,
            action: action.to_owned(),
            subject: beginning(subject),
            outcome: beginning(outcome),
        };
        match self.store(&event).await {
            None => {
                count_entries("logged", 1);
                write_line(&event, None);
            }
            Some(Ok(entry)) => {
                count_entries("stored", 1);
                write_line(&event, Some(&entry));
            }
            Some(Err(error)) => {
                count_entries("failed", 1);
                write_line(&event, None);
                tracing::error!(
                    target: "audit", error, action, request_id = event.request_id,
                    "a change could not be stored in the audit log: it is in the line above only"
                );
            }
        }
    }

    /// Stores a row. Returns `None` without an archive.
    async fn store(&self, event: &AuditEvent) -> Option<Result<AuditEntry, String>> {
        let archive = self.archive.as_ref()?;
        Some(match timeout(APPEND_TIMEOUT, archive.append_audit(event)).await {
            Ok(stored) => stored.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the archive has not answered for {} s", APPEND_TIMEOUT.as_secs())),
        })
    }
}

/// Cuts off a text that a client has made too long.
fn beginning(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text
}

/// Writes the line of an event, with the number and the hash of its row if it was stored.
fn write_line(event: &AuditEvent, entry: Option<&AuditEntry>) {
    let AuditEvent { actor, certificate, peer, request_id, action, subject, outcome } = event;
    let number = entry.map(|entry| entry.number);
    let hash = entry.map(|entry| entry.hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    tracing::info!(
        target: "audit", actor, certificate, peer, request_id, action, subject, outcome, number, hash, "change"
    );
}

/// Counts entries by what became of them.
fn count_entries(result: &'static str, times: u64) {
    let meter = meter();
    let entries = meter.u64_counter("lopside.audit.entries");
    let entries = entries.with_description("Entries of the audit log, by what became of them").build();
    entries.add(times, &[KeyValue::new("result", result)]);
}
