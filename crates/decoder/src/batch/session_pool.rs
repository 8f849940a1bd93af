//! The sessions of one head: each runs one batch after another.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tracing::Span;

use super::{
    job::Job,
    permit::Permit,
    queue::{Batch, Queue},
    stats::HeadStats,
};
use crate::{
    DecodeError,
    model::{BatchSlice, HeadModel, InferenceInput, RunOutput, RunTimes},
};

/// The queue of a head and the sessions that can run its jobs.
#[derive(Debug)]
pub(super) struct SessionPool {
    pub(super) queue: Arc<Queue>,
    /// Identical models, one per session.
    pub(super) models: Vec<Mutex<HeadModel>>,
    /// Whether the models run on the CPU.
    pub(super) on_cpu: bool,
}

impl SessionPool {
    /// Runs batches in one session until the queue is closed and empty.
    pub(super) fn run_batches(&self, session: usize) {
        while let Some(batch) = self.queue.take_batch() {
            run_batch(
                &mut self.models[session].lock().unwrap_or_else(PoisonError::into_inner),
                &self.queue,
                batch,
            );
        }
    }

    /// Runs queued jobs that take about `max_time` at most in a free session. Returns false if all sessions are
    /// busy or the queue is empty.
    pub(super) fn try_run_now(&self, max_time: Duration) -> bool {
        let Some(mut model) = self.models.iter().find_map(try_lock_model) else { return false };
        let Some(batch) = self.queue.try_take_batch(max_time) else { return false };
        run_batch(&mut model, &self.queue, batch);
        true
    }
}

/// Locks the model; returns `None` if another thread is running it.
fn try_lock_model(model: &Mutex<HeadModel>) -> Option<MutexGuard<'_, HeadModel>> {
    match model.try_lock() {
        Ok(model) => Some(model),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn run_batch(model: &mut HeadModel, queue: &Queue, Batch { mut jobs, dequeued_at }: Batch) {
    jobs.iter_mut().for_each(Job::leave_queue);
    let items = jobs.iter().map(|job| job.input.items()).sum();
    let runs: Vec<Span> = jobs.iter().map(|job| run_span(job, items)).collect();
    let (inputs, replies): (Vec<InferenceInput>, Vec<JobReply>) =
        jobs.into_iter().map(JobReply::split_job).unzip();
    let result = catch_unwind(AssertUnwindSafe(|| model.run(&inputs)))
        .unwrap_or_else(|_| Err("the code around ONNX Runtime panicked".to_owned()));
    let counts: Vec<usize> = inputs.iter().map(InferenceInput::items).collect();
    // Latents of images are large: they are freed before the result is distributed.
    drop(inputs);
    drop(runs);
    match result {
        Ok((output, times)) => {
            queue.stats().record_run(items, times);
            queue.update_pace(items, times.input + times.infer + times.output);
            distribute_output(queue.stats(), output, &counts, replies, dequeued_at, times);
        }
        Err(reason) => {
            for job in replies {
                queue.stats().record_failure(job.enqueued_at.elapsed());
                let _ = job.reply.send(Err(DecodeError::Internal(reason.clone())));
            }
        }
    }
}

/// Sends each job its slice of the batch's output.
fn distribute_output(
    stats: &HeadStats,
    output: RunOutput,
    counts: &[usize],
    replies: Vec<JobReply>,
    dequeued_at: Instant,
    times: RunTimes,
) {
    let output = Arc::new(output);
    let mut first = 0;
    for (JobReply { enqueued_at, reply, permit }, &items) in replies.into_iter().zip(counts) {
        let slice = BatchSlice::new(Arc::clone(&output), first, items);
        first += items;
        let queue_time = dequeued_at.saturating_duration_since(enqueued_at);
        stats.record_success(queue_time, times, enqueued_at.elapsed());
        drop(permit);
        // Sending fails if the caller has stopped waiting, which is fine.
        let _ = reply.send(Ok(slice));
    }
}

/// Creates the span of the run as a child of the job's request.
fn run_span(job: &Job, items: usize) -> Span {
    tracing::info_span!(parent: &job.request_span, "engine", batch = items)
}

/// A job without its input.
struct JobReply {
    enqueued_at: Instant,
    reply: oneshot::Sender<Result<BatchSlice, DecodeError>>,
    permit: Permit,
}

impl JobReply {
    fn split_job(job: Job) -> (InferenceInput, Self) {
        let Job { input, enqueued_at, reply, permit, .. } = job;
        (input, Self { enqueued_at, reply, permit })
    }
}
