//! The steps that a thread takes after it has looked at a queue.

use std::time::Instant;

use super::discard_reason::DiscardReason;

/// The engine threads to notify after a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Notify {
    Nobody,
    One,
    All,
}

/// Jobs that run together.
#[derive(Debug)]
pub(super) struct Batch<J> {
    pub(super) jobs: Vec<J>,
    pub(super) dequeued_at: Instant,
}

/// Jobs that must not run, with the reasons.
pub(super) type DeadJobs<J> = Vec<(J, DiscardReason)>;

/// A session with its number, from 0. The engine thread with the same number prefers it, because ONNX Runtime keeps
/// resources of a GPU for each session and thread.
#[derive(Debug)]
pub(super) struct NumberedSession<S> {
    pub(super) number: usize,
    pub(super) session: S,
}

/// A batch and the session that runs it.
#[derive(Debug)]
pub(super) struct Assignment<J, S> {
    pub(super) session: NumberedSession<S>,
    pub(super) batch: Batch<J>,
    pub(super) notify: Notify,
}

/// The next step of an engine thread.
#[derive(Debug)]
pub(super) enum EngineStep<J, S> {
    Run(Assignment<J, S>),
    /// Discard these jobs and look again.
    Discard(DeadJobs<J>),
    /// Look again at this time, or after a notification.
    WaitUntil(Instant),
    /// Look again after a notification.
    Wait,
    /// The queue is closed and empty.
    Exit,
}

/// The next step of a turn.
#[derive(Debug)]
pub(super) enum TurnStep<J, S> {
    Run(Assignment<J, S>),
    /// Discard these jobs and look again.
    Discard(DeadJobs<J>),
    /// The queue is empty, or other threads look after it.
    Done(Notify),
}
