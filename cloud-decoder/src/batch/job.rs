//! A job: the input of one request for a head, with its deadline and its reply channel.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::Span;

use super::{
    policy::{Priority, Waiting},
    queue::Permit,
};
use crate::{
    ServeError,
    model::{Question, Share},
};

/// Time limit of a request whose own time limit is too large for the clock.
const LONGEST: Duration = Duration::from_hours(24);

/// The deadline and the priority of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The time after which the response is useless.
    pub deadline: Instant,
    /// The priority class.
    pub priority: Priority,
}

impl Terms {
    /// Returns terms of normal priority with a deadline `time` from now.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        let now = Instant::now();
        Self { deadline: now.checked_add(time).unwrap_or(now + LONGEST), priority: Priority::Normal }
    }
}

/// One unit of queued work: one request's part of a future batch.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) question: Question,
    pub(crate) terms: Terms,
    pub(crate) arrived: Instant,
    /// The span of the request.
    pub(crate) request: Span,
    /// The span of the time in the queue.
    pub(crate) waiting: Span,
    pub(crate) answer: oneshot::Sender<Result<Share, ServeError>>,
    /// Held until the job has run or was discarded.
    pub(crate) permit: Permit,
}

/// Reason why a job does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discarded {
    /// The deadline has passed.
    Expired,
    /// The caller has stopped waiting for the result.
    Abandoned,
}

impl Job {
    /// Returns the reason if the job must not run.
    pub(crate) fn discarded(&self, now: Instant) -> Option<Discarded> {
        if self.terms.deadline <= now {
            Some(Discarded::Expired)
        } else if self.answer.is_closed() {
            Some(Discarded::Abandoned)
        } else {
            None
        }
    }

    /// Ends the span of the time in the queue.
    pub(crate) fn leave_queue(&mut self) {
        drop(std::mem::replace(&mut self.waiting, Span::none()));
    }
}

impl Waiting for Job {
    fn priority(&self) -> Priority {
        self.terms.priority
    }

    fn arrived(&self) -> Instant {
        self.arrived
    }

    fn items(&self) -> usize {
        self.question.items()
    }

    fn same_shape(&self, other: &Self) -> bool {
        self.question.same_shape(&other.question)
    }
}
