//! Turns: the obligation to look at a queue after a push that notified no engine thread.

use std::sync::Arc;

use super::{
    queue::{JobQueue, run_caught},
    queue_state::QueueTypes,
    steps::Batch,
};

/// The obligation to look at a queue. If it is dropped before its end, an engine thread takes over.
#[must_use = "the job waits until the turn runs or is dropped"]
pub(super) struct Turn<Q: QueueTypes> {
    queue: Arc<JobQueue<Q>>,
    has_ended: bool,
}

impl<Q: QueueTypes> Turn<Q> {
    /// Enqueues a job without waking an engine thread, and returns the turn that looks after it.
    pub(super) fn enqueue(queue: &Arc<JobQueue<Q>>, job: Q::Job) -> Self {
        queue.push_for_turn(job);
        Self { queue: Arc::clone(queue), has_ended: false }
    }

    /// Runs the queued jobs on the calling thread, until none is left or other threads look after them.
    /// `max_items` is called before each batch and returns the largest number of items that it may have; the
    /// engine threads take over if the next batch is larger.
    pub(super) fn run(
        mut self,
        max_items: impl Fn() -> usize,
        mut run: impl FnMut(&mut Q::Session, Batch<Q::Job>),
    ) {
        let mut returned = None;
        while let Some((mut session, batch)) = self.queue.take_short_batch(max_items(), returned.take()) {
            run_caught(&mut run, &mut session.session, batch);
            returned = Some(session);
        }
        self.has_ended = true;
    }
}

impl<Q: QueueTypes> Drop for Turn<Q> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.queue.hand_over();
        }
    }
}
