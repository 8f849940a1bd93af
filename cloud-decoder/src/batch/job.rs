//! A job: the input of one request for a head, with its deadline and its reply channel.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::Span;

use super::{
    policy::{Priority, QueuedJob},
    queue::Permit,
};
use crate::{
    ServeError,
    model::{BatchSlice, InferenceInput},
};

/// Time limit of a request whose own time limit is too large for the clock.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);

/// The deadline and the priority of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestOptions {
    /// The time after which the response is useless.
    pub deadline: Instant,
    /// The priority class.
    pub priority: Priority,
}

impl RequestOptions {
    /// Returns terms of normal priority with a deadline `time` from now.
    #[must_use]
    pub fn with_timeout(time: Duration) -> Self {
        let now = Instant::now();
        Self { deadline: now.checked_add(time).unwrap_or(now + MAX_TIMEOUT), priority: Priority::Normal }
    }
}

/// One unit of queued work: one request's part of a future batch.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) input: InferenceInput,
    pub(crate) options: RequestOptions,
    pub(crate) enqueued_at: Instant,
    /// The span of the request.
    pub(crate) request_span: Span,
    /// The span of the time in the queue.
    pub(crate) queue_span: Span,
    pub(crate) reply: oneshot::Sender<Result<BatchSlice, ServeError>>,
    /// Held until the job has run or was discarded.
    pub(crate) permit: Permit,
}

/// Reason why a job does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiscardReason {
    /// The deadline has passed.
    Expired,
    /// The caller has stopped waiting for the result.
    Abandoned,
}

impl Job {
    /// Returns the reason if the job must not run.
    pub(crate) fn discard_reason(&self, now: Instant) -> Option<DiscardReason> {
        if self.options.deadline <= now {
            Some(DiscardReason::Expired)
        } else if self.reply.is_closed() {
            Some(DiscardReason::Abandoned)
        } else {
            None
        }
    }

    /// Ends the span of the time in the queue.
    pub(crate) fn leave_queue(&mut self) {
        drop(std::mem::replace(&mut self.queue_span, Span::none()));
    }
}

impl QueuedJob for Job {
    fn priority(&self) -> Priority {
        self.options.priority
    }

    fn enqueued_at(&self) -> Instant {
        self.enqueued_at
    }

    fn items(&self) -> usize {
        self.input.items()
    }

    fn same_shape(&self, other: &Self) -> bool {
        self.input.has_same_shape(&other.input)
    }
}
