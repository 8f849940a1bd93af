//! The state of a queue and its transitions, as functions without a lock, a clock or threads.
//!
//! Each transition says whom to notify ([`Notify`]). [`Watch`] says whether an engine thread will look at the
//! queue without a further notification. While a job is queued, at least one of these is true:
//!
//! 1. An engine thread watches the queue.
//! 2. All sessions are in use. A thread that returns its session looks at the queue in the same transition.
//! 3. The job was added for a turn that has not ended.
//! 4. A thread has removed dead jobs and looks again as soon as it has discarded them.

use std::{mem, time::Instant};

use super::{
    discard_reason::DiscardReason,
    monitor::Monitor,
    policy::{BatchPolicy, ConcurrencyEstimate, Decision, QueuedJob},
    steps::{Assignment, Batch, DeadJobs, EngineStep, Notify, NumberedSession, TurnStep},
};

/// The types of a queue: those of a head, or those of a test.
pub(super) trait QueueTypes: Sized {
    type Job: AdmittedJob;
    /// A session, which runs one batch after another.
    type Session;
    type Monitor: Monitor<QueueState<Self>>;
}

/// A queued job that holds a permit.
pub(super) trait AdmittedJob: QueuedJob {
    /// Returns the number of items of all jobs with a permit of the same queue.
    fn items_in_flight(&self) -> usize;
    /// Returns the reason if the job must not run.
    fn discard_reason(&self, now: Instant) -> Option<DiscardReason>;
    /// Records that the job does not run, and tells its caller.
    fn discard(self, reason: DiscardReason);
}

/// The queued jobs and the free sessions of one head.
#[derive(Debug)]
pub(super) struct QueueState<Q: QueueTypes> {
    policy: BatchPolicy,
    /// Number of sessions, each with an engine thread.
    instances: usize,
    free_sessions: Vec<NumberedSession<Q::Session>>,
    jobs: Vec<Q::Job>,
    concurrency: ConcurrencyEstimate,
    watch: Watch,
    is_closed: bool,
}

/// Whether an engine thread will look at the queue without a further notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// No engine thread will.
    Asleep,
    /// An engine thread will at this time.
    Timed(Instant),
    /// An engine thread was notified. If none was waiting, all of them have sessions, and the first that returns
    /// its session will look.
    Alerted,
}

impl<Q: QueueTypes> QueueState<Q> {
    /// Creates the state of an empty queue.
    pub(super) fn new(policy: BatchPolicy, sessions: Vec<Q::Session>) -> Self {
        let numbered = sessions.into_iter().enumerate();
        let free_sessions: Vec<_> =
            numbered.map(|(number, session)| NumberedSession { number, session }).collect();
        Self {
            policy,
            instances: free_sessions.len(),
            free_sessions,
            jobs: Vec::new(),
            concurrency: ConcurrencyEstimate::default(),
            watch: Watch::Asleep,
            is_closed: false,
        }
    }

    /// Adds a job that an engine thread looks after, whatever jobs of turns are queued.
    pub(super) fn push_for_engine(&mut self, job: Q::Job) -> Notify {
        let due = self.policy.due(&job);
        self.push_for_turn(job);
        let must_alert = match self.watch {
            Watch::Asleep => true,
            Watch::Timed(time) => due < time || self.waiting_items() >= self.expected_items(),
            Watch::Alerted => false,
        };
        if must_alert { self.alert() } else { Notify::Nobody }
    }

    /// Adds a job that a turn looks after.
    pub(super) fn push_for_turn(&mut self, job: Q::Job) {
        self.concurrency.raise_to(job.items_in_flight());
        self.jobs.push(job);
    }

    /// Adds a session that has run its batch to the free sessions.
    pub(super) fn return_session(&mut self, session: Option<NumberedSession<Q::Session>>) {
        self.free_sessions.extend(session);
    }

    /// Decides what the calling engine thread, with this number, does next.
    pub(super) fn engine_step(&mut self, now: Instant, number: usize) -> EngineStep<Q::Job, Q::Session> {
        self.watch = Watch::Asleep;
        let dead = self.remove_dead_jobs(now);
        if !dead.is_empty() {
            self.watch = Watch::Alerted;
            return EngineStep::Discard(dead);
        }
        // No job will join those of a closed queue.
        let expected = if self.is_closed { 1 } else { self.expected_items() };
        match self.policy.decide(&self.jobs, expected, now) {
            Decision::Idle if self.is_closed => EngineStep::Exit,
            Decision::Idle => EngineStep::Wait,
            Decision::Wait(_) if self.free_sessions.is_empty() => EngineStep::Wait,
            Decision::Wait(time) => {
                self.watch = Watch::Timed(time);
                EngineStep::WaitUntil(time)
            }
            Decision::Run(indices) => match self.take_session(number) {
                Some(session) => EngineStep::Run(self.assign(session, indices, now)),
                None => EngineStep::Wait,
            },
        }
    }

    /// Decides what the calling turn does next. It runs at most `max_items` items at once; if the next batch is
    /// larger, an engine thread takes over.
    pub(super) fn turn_step(&mut self, now: Instant, max_items: usize) -> TurnStep<Q::Job, Q::Session> {
        let dead = self.remove_dead_jobs(now);
        if !dead.is_empty() {
            return TurnStep::Discard(dead);
        }
        if self.jobs.is_empty() {
            return TurnStep::Done(self.hand_over());
        }
        // A thread that has a session looks at the queue when it returns the session.
        let Some(session) = self.free_sessions.pop() else { return TurnStep::Done(Notify::Nobody) };
        if let Some(indices) = self.select_short_batch(now, max_items) {
            TurnStep::Run(self.assign(session, indices, now))
        } else {
            self.free_sessions.push(session);
            TurnStep::Done(self.hand_over())
        }
    }

    /// Leaves the queue to the engine threads.
    pub(super) fn hand_over(&mut self) -> Notify {
        if !self.jobs.is_empty() {
            self.alert()
        } else if self.is_closed {
            // Engine threads that waited for a session can exit now.
            Notify::All
        } else {
            Notify::Nobody
        }
    }

    /// Makes engine threads exit after the last job. No job may be added afterwards.
    pub(super) fn close(&mut self) -> Notify {
        self.is_closed = true;
        Notify::All
    }

    /// Removes the jobs that must not run, and returns them with the reasons.
    pub(super) fn remove_dead_jobs(&mut self, now: Instant) -> DeadJobs<Q::Job> {
        let mut dead = Vec::new();
        let mut index = 0;
        while let Some(job) = self.jobs.get(index) {
            match job.discard_reason(now) {
                Some(reason) => dead.push((self.jobs.swap_remove(index), reason)),
                None => index += 1,
            }
        }
        dead
    }

    /// Ensures that an engine thread looks at the queue.
    fn alert(&mut self) -> Notify {
        match mem::replace(&mut self.watch, Watch::Alerted) {
            Watch::Asleep | Watch::Timed(_) => Notify::One,
            Watch::Alerted => Notify::Nobody,
        }
    }

    /// Takes a free session, if possible the one with this number.
    fn take_session(&mut self, number: usize) -> Option<NumberedSession<Q::Session>> {
        match self.free_sessions.iter().position(|session| session.number == number) {
            Some(index) => Some(self.free_sessions.swap_remove(index)),
            None => self.free_sessions.pop(),
        }
    }

    /// Returns the batch that runs now if it has at most `max_items` items.
    fn select_short_batch(&self, now: Instant, max_items: usize) -> Option<Vec<usize>> {
        let policy = BatchPolicy { max_items: self.policy.max_items.min(max_items).max(1), ..self.policy };
        match policy.decide(&self.jobs, 1, now) {
            Decision::Run(indices) if self.count_items(&indices) <= max_items => Some(indices),
            Decision::Run(_) | Decision::Wait(_) | Decision::Idle => None,
        }
    }

    /// Takes these jobs out of the queue. If other jobs could run in another session, an engine thread is
    /// notified of them.
    fn assign(
        &mut self,
        session: NumberedSession<Q::Session>,
        mut indices: Vec<usize>,
        now: Instant,
    ) -> Assignment<Q::Job, Q::Session> {
        // Jobs are removed from the back, so that the indices before them stay valid.
        indices.sort_unstable_by(|a, b| b.cmp(a));
        let mut jobs: Vec<Q::Job> = indices.into_iter().map(|index| self.jobs.swap_remove(index)).collect();
        jobs.sort_by_key(Q::Job::enqueued_at);
        if let Some(job) = jobs.first() {
            self.concurrency.decay_to(job.items_in_flight());
        }
        let is_more_possible = !self.jobs.is_empty() && !self.free_sessions.is_empty();
        let notify =
            if is_more_possible && self.watch == Watch::Asleep { self.alert() } else { Notify::Nobody };
        Assignment { session, batch: Batch { jobs, dequeued_at: now }, notify }
    }

    fn expected_items(&self) -> usize {
        self.concurrency.expected_items(self.instances).min(self.policy.max_items)
    }

    /// Returns the number of items of all queued jobs.
    fn waiting_items(&self) -> usize {
        self.jobs.iter().map(Q::Job::items).sum()
    }

    fn count_items(&self, indices: &[usize]) -> usize {
        indices.iter().map(|&index| self.jobs[index].items()).sum()
    }

    /// Returns the number of queued jobs.
    #[cfg(test)]
    pub(super) fn waiting_jobs(&self) -> usize {
        self.jobs.len()
    }
}
