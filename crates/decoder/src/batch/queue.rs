//! The queue of one head: which thread looks after which job.
//!
//! The rule: a queued job is always owned by a thread or task that looks at the queue in bounded time, whatever
//! becomes of other requests. There are two kinds of owners.
//!
//! - **An engine thread** owns the jobs of [`JobQueue::push`]. The push notifies an engine thread, unless one is
//!   about to look at the queue anyway. It never relies on a turn, because a turn runs on a thread that may be busy.
//! - **A turn** owns the job that it was created with ([`Turn::enqueue`](super::turn::Turn::enqueue)). It belongs
//!   to a task of its own ([`caller_run`](super::caller_run)), not to the future of a request: a future may be
//!   dropped, may wait for another head, or may not be polled because its client does not read. A turn that is
//!   dropped before its end leaves its jobs to the engine threads.
//!
//! Any of them may run the jobs of the others. If all sessions are in use, the job waits for the first that is
//! returned: the thread that returns it looks at the queue under the same lock. A run that panics returns its
//! session too.
//!
//! [`QueueState`] decides what happens; this file has the lock and the waiting. `model_check.rs` runs both in
//! many interleavings.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{
    monitor::Monitor,
    policy::BatchPolicy,
    queue_state::{AdmittedJob, QueueState, QueueTypes},
    steps::{Assignment, Batch, DeadJobs, EngineStep, Notify, NumberedSession, TurnStep},
};

/// A session and the batch that runs in it.
pub(super) type SessionRun<Q> = (NumberedSession<<Q as QueueTypes>::Session>, Batch<<Q as QueueTypes>::Job>);

/// The queued jobs of one head, and the sessions that run them.
#[derive(Debug)]
pub(super) struct JobQueue<Q: QueueTypes> {
    monitor: Q::Monitor,
}

impl<Q: QueueTypes> JobQueue<Q> {
    /// Creates an empty queue. For the number of each session, from 0, one thread must call
    /// [`run_batches`](Self::run_batches).
    pub(super) fn new(policy: BatchPolicy, sessions: Vec<Q::Session>) -> Arc<Self> {
        Arc::new(Self { monitor: Q::Monitor::new(QueueState::new(policy, sessions)) })
    }

    /// Enqueues a job that an engine thread looks after.
    pub(super) fn push(&self, job: Q::Job) {
        let notify = self.monitor.lock().push_for_engine(job);
        self.notify(notify);
    }

    /// Enqueues a job that the calling turn looks after.
    pub(super) fn push_for_turn(&self, job: Q::Job) {
        self.monitor.lock().push_for_turn(job);
    }

    /// Runs batches on the calling engine thread, with this number, until the queue is closed and empty.
    pub(super) fn run_batches(&self, number: usize, mut run: impl FnMut(&mut Q::Session, Batch<Q::Job>)) {
        let mut returned = None;
        while let Some((mut session, batch)) = self.take_batch(number, returned.take()) {
            run_caught(&mut run, &mut session.session, batch);
            returned = Some(session);
        }
    }

    /// Returns a session, and takes the batch that the calling turn runs next, of at most `max_items` items.
    /// Returns `None` if the turn has ended.
    pub(super) fn take_short_batch(
        &self,
        max_items: usize,
        returned: Option<NumberedSession<Q::Session>>,
    ) -> Option<SessionRun<Q>> {
        let mut state = self.monitor.lock();
        state.return_session(returned);
        loop {
            match state.turn_step(self.monitor.now(), max_items) {
                TurnStep::Run(Assignment { session, batch, notify }) => {
                    drop(state);
                    self.notify(notify);
                    return Some((session, batch));
                }
                TurnStep::Discard(dead) => {
                    drop(state);
                    discard_jobs(dead);
                    state = self.monitor.lock();
                }
                TurnStep::Done(notify) => {
                    drop(state);
                    self.notify(notify);
                    return None;
                }
            }
        }
    }

    /// Leaves the queue to the engine threads.
    pub(super) fn hand_over(&self) {
        let notify = self.monitor.lock().hand_over();
        self.notify(notify);
    }

    /// Discards expired and abandoned jobs. Returns whether there were any.
    pub(super) fn discard_dead_jobs(&self) -> bool {
        let dead = self.monitor.lock().remove_dead_jobs(self.monitor.now());
        let has_dead = !dead.is_empty();
        discard_jobs(dead);
        has_dead
    }

    /// Closes the queue: engine threads exit after the last job. No job may be enqueued afterwards.
    pub(super) fn close(&self) {
        let notify = self.monitor.lock().close();
        self.notify(notify);
    }

    /// Returns a session, and waits for the next batch. Returns `None` if the queue is closed and empty.
    fn take_batch(
        &self,
        number: usize,
        returned: Option<NumberedSession<Q::Session>>,
    ) -> Option<SessionRun<Q>> {
        let mut state = self.monitor.lock();
        state.return_session(returned);
        loop {
            match state.engine_step(self.monitor.now(), number) {
                EngineStep::Run(Assignment { session, batch, notify }) => {
                    drop(state);
                    self.notify(notify);
                    return Some((session, batch));
                }
                EngineStep::Discard(dead) => {
                    drop(state);
                    discard_jobs(dead);
                    state = self.monitor.lock();
                }
                EngineStep::WaitUntil(time) => state = self.monitor.wait_until(state, time),
                EngineStep::Wait => state = self.monitor.wait(state),
                EngineStep::Exit => {
                    drop(state);
                    // Others may wait for the session that this thread has returned.
                    self.notify(Notify::All);
                    return None;
                }
            }
        }
    }

    fn notify(&self, notify: Notify) {
        match notify {
            Notify::Nobody => {}
            Notify::One => self.monitor.notify_one(),
            Notify::All => self.monitor.notify_all(),
        }
    }

    /// Returns the number of queued jobs.
    #[cfg(test)]
    pub(super) fn waiting_jobs(&self) -> usize {
        self.monitor.lock().waiting_jobs()
    }
}

/// Runs a batch. A panic ends only this run: the jobs' callers get an error, because their reply channels are
/// dropped.
pub(super) fn run_caught<S, J>(run: &mut impl FnMut(&mut S, Batch<J>), session: &mut S, batch: Batch<J>) {
    if catch_unwind(AssertUnwindSafe(|| run(session, batch))).is_err() {
        tracing::error!("the run of a batch panicked; its jobs failed");
    }
}

fn discard_jobs<J: AdmittedJob>(dead: DeadJobs<J>) {
    for (job, reason) in dead {
        job.discard(reason);
    }
}
