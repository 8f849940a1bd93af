//! A job: the input of one request for a head, with its deadline and its reply channel.

use std::time::Instant;

use tokio::sync::oneshot;
use tracing::Span;

use super::{discard_reason::DiscardReason, permit::Permit, policy::QueuedJob, queue_state::AdmittedJob};
use crate::{
    DecodeError, Priority, RequestOptions,
    model::{BatchSlice, InferenceInput},
};

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
    pub(crate) reply: oneshot::Sender<Result<BatchSlice, DecodeError>>,
    /// Held until the job has run or was discarded.
    pub(crate) permit: Permit,
}

impl Job {
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

    fn deadline(&self) -> Instant {
        self.options.deadline
    }

    fn items(&self) -> usize {
        self.input.items()
    }

    fn same_shape(&self, other: &Self) -> bool {
        self.input.has_same_shape(&other.input)
    }
}

impl AdmittedJob for Job {
    fn items_in_flight(&self) -> usize {
        self.permit.items_in_flight()
    }

    fn discard_reason(&self, now: Instant) -> Option<DiscardReason> {
        if self.options.deadline <= now {
            Some(DiscardReason::Expired)
        } else if self.reply.is_closed() {
            Some(DiscardReason::Abandoned)
        } else {
            None
        }
    }

    fn discard(self, reason: DiscardReason) {
        let Self { reply, permit, .. } = self;
        permit.stats().record_discard(reason);
        // The capacity is free before the caller knows.
        drop(permit);
        // Sending fails if the caller has stopped waiting, which is fine.
        let _ = reply.send(Err(DecodeError::DeadlineExceeded));
    }
}
