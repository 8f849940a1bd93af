//! The run of a batch: from the jobs' inputs to each job's slice of the output.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use tokio::sync::oneshot;
use tracing::Span;

use super::{
    admission::Admission, discard_reason::DiscardReason, job::Job, permit::Permit, stats::HeadStats,
    steps::Batch,
};
use crate::{
    DecodeError,
    model::{BatchSlice, HeadModel, InferenceInput, RunOutput, RunTimes},
};

/// Runs the model on the inputs of a batch, and sends each job its result.
pub(super) fn run_batch(model: &mut HeadModel, admission: &Admission, batch: Batch<Job>) {
    let Batch { mut jobs, dequeued_at } = batch;
    jobs.iter_mut().for_each(Job::leave_queue);
    let items = jobs.iter().map(|job| job.input.items()).sum();
    let runs: Vec<Span> = jobs.iter().map(|job| run_span(job, items)).collect();
    let (inputs, replies): (Vec<InferenceInput>, Vec<JobReply>) =
        jobs.into_iter().map(JobReply::split_job).unzip();
    let result = catch_unwind(AssertUnwindSafe(|| model.run(&inputs)))
        .unwrap_or_else(|_| Err("the code around ONNX Runtime panicked".to_owned()));
    let counts: Vec<usize> = inputs.iter().map(InferenceInput::items).collect();
    let was_cancelled = inputs.iter().all(InferenceInput::is_cancelled);
    // Latents of images are large: they are freed before the result is distributed.
    drop(inputs);
    drop(runs);
    match result {
        Ok((output, times)) => {
            admission.stats().record_run(items, times);
            admission.update_pace(items, times.input + times.infer + times.output);
            distribute_output(admission.stats(), output, &counts, replies, dequeued_at, times);
        }
        Err(_) if was_cancelled => replies.into_iter().for_each(JobReply::discard),
        Err(reason) => {
            for job in replies {
                admission.stats().record_failure(job.enqueued_at.elapsed());
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
    for (JobReply { enqueued_at, reply, permit, .. }, &items) in replies.into_iter().zip(counts) {
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
    deadline: Instant,
    reply: oneshot::Sender<Result<BatchSlice, DecodeError>>,
    permit: Permit,
}

impl JobReply {
    fn split_job(job: Job) -> (InferenceInput, Self) {
        let Job { input, options, enqueued_at, reply, permit, .. } = job;
        (input, Self { enqueued_at, deadline: options.deadline, reply, permit })
    }

    /// Records that the run was cancelled, for which no caller waits any more.
    fn discard(self) {
        let has_expired = self.deadline <= Instant::now();
        let reason = if has_expired { DiscardReason::Expired } else { DiscardReason::Abandoned };
        self.permit.stats().record_discard(reason);
        let _ = self.reply.send(Err(DecodeError::DeadlineExceeded));
    }
}
