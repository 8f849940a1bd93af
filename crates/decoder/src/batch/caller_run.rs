//! Runs of short jobs on the threads of their callers.
//!
//! A job that takes less time than handing it over to an engine thread is not handed over. Its caller enqueues
//! the job without waking an engine thread, and spawns a task on its own thread that runs the queued jobs, after
//! the other tasks of the thread. All requests that one poll of the network delivered thus become one run, without
//! a timer. This applies to jobs on the CPU whose expected time, at the recent time per item, is at most
//! [`MAX_JOB_TIME`].
//!
//! The run is a task of its own because the future of the request is polled at the discretion of others: it may
//! wait for a slow head first, or its client may not read the responses. A task of a runtime that shuts down is
//! dropped, and with it its [`Turn`], which wakes an engine thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    task::{JoinHandle, yield_now},
};

use super::{admission::Admission, queue_state::QueueTypes, steps::Batch, turn::Turn};

/// Maximum expected time of a job that its caller's thread runs. A turn starts no further batch after this time.
const MAX_JOB_TIME: Duration = Duration::from_micros(100);
/// Maximum expected time of a batch of such jobs.
const MAX_BATCH_TIME: Duration = Duration::from_micros(500);

/// Returns whether a job of `items` items is so short that its caller's thread should run it.
pub(super) fn is_short(admission: &Admission, items: usize) -> bool {
    admission.expected_time(items) <= MAX_JOB_TIME
}

/// Spawns the task that runs the queued jobs, after the other tasks of the thread.
pub(super) fn spawn_turn<Q>(
    runtime: &Handle,
    turn: Turn<Q>,
    admission: Arc<Admission>,
    run: impl FnMut(&mut Q::Session, Batch<Q::Job>) + Send + 'static,
) -> JoinHandle<()>
where
    Q: QueueTypes + 'static,
    Q::Monitor: Send + Sync,
{
    runtime.spawn(async move {
        yield_now().await;
        let started_at = Instant::now();
        let max_items = || {
            let is_over = started_at.elapsed() > MAX_JOB_TIME;
            if is_over { 0 } else { admission.items_within(MAX_BATCH_TIME) }
        };
        turn.run(max_items, run);
    })
}
