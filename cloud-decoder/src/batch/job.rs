//! A job: what a model is asked, until when, and where to answer.

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

/// The longest that a request may take, where a caller asks for more.
const LONGEST: Duration = Duration::from_hours(24);

/// Under which terms a request is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// When the answer is of no use any more.
    pub deadline: Instant,
    /// How urgent it is.
    pub priority: Priority,
}

impl Terms {
    /// Of normal priority, until so long from now.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        let now = Instant::now();
        Self { deadline: now.checked_add(time).unwrap_or(now + LONGEST), priority: Priority::Normal }
    }
}

/// One request's share of a batch to come.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) question: Question,
    pub(crate) terms: Terms,
    pub(crate) arrived: Instant,
    /// The request that it belongs to.
    pub(crate) request: Span,
    /// The time in the queue.
    pub(crate) waiting: Span,
    pub(crate) answer: oneshot::Sender<Result<Share, ServeError>>,
    /// Held until the job has run or was discarded.
    pub(crate) permit: Permit,
}

/// Why a job does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discarded {
    /// Its deadline has passed.
    Expired,
    /// Nobody waits for the answer.
    Abandoned,
}

impl Job {
    /// Why it must not run, if so.
    pub(crate) fn discarded(&self, now: Instant) -> Option<Discarded> {
        if self.terms.deadline <= now {
            Some(Discarded::Expired)
        } else if self.answer.is_closed() {
            Some(Discarded::Abandoned)
        } else {
            None
        }
    }

    /// Its time in the queue is over.
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
