//! The threads of one head: each has a session and runs one batch after another.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout_at};
use tracing::Span;

use super::{
    job::{Job, RequestOptions},
    metrics::HeadName,
    policy::BatchPolicy,
    queue::{Batch, Permit, Queue},
    settings::BatchSettings,
    stats::{HeadStats, RunTimes},
    turn::CallerRun,
};
use crate::{
    ServeError,
    model::{BatchSlice, HeadModel, InferenceInput, RunOutput},
};

/// The queue and the threads of one head. After it is dropped, the threads finish the queue and exit.
#[derive(Debug)]
pub(crate) struct Engine(Arc<SessionPool>);

/// The queue of a head and the sessions that can run its jobs.
#[derive(Debug)]
pub(super) struct SessionPool {
    pub(super) queue: Arc<Queue>,
    /// Identical models, one per session.
    models: Vec<Mutex<HeadModel>>,
    /// Whether the models run on the CPU.
    pub(super) on_cpu: bool,
}

/// A submitted job whose result is pending.
#[derive(Debug)]
pub(crate) struct PendingResult {
    receiver: oneshot::Receiver<Result<BatchSlice, ServeError>>,
    deadline: Instant,
    caller_run: Option<CallerRun>,
}

impl Engine {
    /// Starts one thread per model; all models must be identical. `name` appears in logs, errors and metrics.
    pub(crate) fn start(
        models: Vec<HeadModel>,
        name: HeadName<'_>,
        batching: BatchSettings,
    ) -> Result<Self, String> {
        let worthwhile = models.iter().map(HeadModel::worthwhile).max().unwrap_or(1);
        let policy = batching.batch_policy(worthwhile);
        let max_items = if models.iter().any(HeadModel::takes_single_item) { 1 } else { policy.max_items };
        tracing::debug!(bundle = name.bundle, head = name.head, max_items, "started");
        let queue = Queue::new(name, batching.queue_limits(), BatchPolicy { max_items, ..policy });
        queue.update_pace(1, models.iter().map(HeadModel::time_per_item).min().unwrap_or_default());
        let on_cpu = models.iter().all(HeadModel::is_on_cpu);
        let models: Vec<_> = models.into_iter().map(Mutex::new).collect();
        let engine = Self(Arc::new(SessionPool { queue, models, on_cpu }));
        for session in 0..engine.0.models.len() {
            let sessions = Arc::clone(&engine.0);
            thread::Builder::new()
                .name(format!("engine-{}.{}", name.bundle, name.head))
                .spawn(move || sessions.run_batches(session))
                .map_err(|error| error.to_string())?;
        }
        Ok(engine)
    }

    /// Reserves a place in the queue, before the work of preparing a question begins.
    ///
    /// # Errors
    /// [`ServeError::Overloaded`] or [`ServeError::DeadlineExceeded`].
    pub(crate) fn admit(
        &self,
        items: usize,
        bytes: usize,
        terms: RequestOptions,
    ) -> Result<Permit, ServeError> {
        self.0.queue.admit(items, bytes, terms)
    }

    /// Enqueues a question with its permit of this engine's queue. A short job runs on the caller's thread while
    /// [`PendingResult::wait_for_result`] is awaited.
    pub(crate) fn submit_job(
        &self,
        permit: Permit,
        question: InferenceInput,
        terms: RequestOptions,
    ) -> PendingResult {
        let turn = CallerRun::try_new(&self.0, question.items());
        let (answer, answered) = oneshot::channel();
        let (request, arrived) = (Span::current(), Instant::now());
        let waiting = tracing::info_span!("queue", items = question.items());
        let job = Job {
            input: question,
            options: terms,
            enqueued_at: arrived,
            request_span: request,
            queue_span: waiting,
            reply: answer,
            permit,
        };
        self.0.queue.push(job, turn.is_none());
        PendingResult { receiver: answered, deadline: terms.deadline, caller_run: turn }
    }

    /// Returns the statistics of the head.
    pub(crate) fn stats(&self) -> &HeadStats {
        &self.0.queue.stats
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl SessionPool {
    /// Runs batches in one session until the queue is closed and empty.
    fn run_batches(&self, session: usize) {
        while let Some(batch) = self.queue.take_batch() {
            run_batch(
                &mut self.models[session].lock().unwrap_or_else(PoisonError::into_inner),
                &self.queue,
                batch,
            );
        }
    }

    /// Runs queued jobs that take about `longest` at most in a free session. Returns false if all sessions are
    /// busy or the queue is empty.
    pub(super) fn try_run_now(&self, longest: Duration) -> bool {
        let Some(mut model) = self.models.iter().find_map(try_lock_model) else { return false };
        let Some(batch) = self.queue.try_take_batch(longest) else { return false };
        run_batch(&mut model, &self.queue, batch);
        true
    }
}

impl PendingResult {
    /// Waits for the result until the deadline.
    ///
    /// # Errors
    /// [`ServeError::DeadlineExceeded`]; [`ServeError::Internal`] if ONNX Runtime fails.
    pub(crate) async fn wait_for_result(self) -> Result<BatchSlice, ServeError> {
        if let Some(turn) = self.caller_run {
            turn.run_queued().await;
        }
        match timeout_at(self.deadline.into(), self.receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ServeError::Internal("the engine dropped a job".into())),
            Err(_) => Err(ServeError::DeadlineExceeded),
        }
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

fn run_batch(model: &mut HeadModel, queue: &Queue, Batch { mut jobs, dequeued_at: taken }: Batch) {
    jobs.iter_mut().for_each(Job::leave_queue);
    let items = jobs.iter().map(|job| job.input.items()).sum();
    let runs: Vec<Span> = jobs.iter().map(|job| run_span(job, items)).collect();
    let (questions, rest): (Vec<InferenceInput>, Vec<JobReply>) =
        jobs.into_iter().map(JobReply::split_job).unzip();
    let made = catch_unwind(AssertUnwindSafe(|| model.run(&questions)))
        .unwrap_or_else(|_| Err("the code around ONNX Runtime panicked".to_owned()));
    let counts: Vec<usize> = questions.iter().map(InferenceInput::items).collect();
    // Latents of images are large: they are freed before the result is distributed.
    drop(questions);
    drop(runs);
    match made {
        Ok((answer, times)) => {
            queue.stats.record_run(items, times);
            queue.update_pace(items, times.input + times.infer + times.output);
            distribute_result(&queue.stats, answer, &counts, rest, taken, times);
        }
        Err(reason) => {
            for job in rest {
                queue.stats.record_failure(job.enqueued_at.elapsed());
                let _ = job.reply.send(Err(ServeError::Internal(reason.clone())));
            }
        }
    }
}

/// Sends each job its slice of the batch's result.
fn distribute_result(
    stats: &HeadStats,
    answer: RunOutput,
    counts: &[usize],
    jobs: Vec<JobReply>,
    taken: Instant,
    times: RunTimes,
) {
    let answer = Arc::new(answer);
    let mut first = 0;
    for (job, &items) in jobs.into_iter().zip(counts) {
        let share = BatchSlice::new(Arc::clone(&answer), first, items);
        first += items;
        let JobReply { enqueued_at: arrived, reply: answer, permit } = job;
        stats.record_success(taken.saturating_duration_since(arrived), times, arrived.elapsed());
        drop(permit);
        // Sending fails if the caller has stopped waiting, which is fine.
        let _ = answer.send(Ok(share));
    }
}

/// Creates the span of the run as a child of the job's request.
fn run_span(job: &Job, items: usize) -> Span {
    tracing::info_span!(parent: &job.request_span, "engine", batch = items)
}

/// A job without its question.
struct JobReply {
    enqueued_at: Instant,
    reply: oneshot::Sender<Result<BatchSlice, ServeError>>,
    permit: Permit,
}

impl JobReply {
    fn split_job(job: Job) -> (InferenceInput, Self) {
        let Job { input: question, enqueued_at: arrived, reply: answer, permit, .. } = job;
        (question, Self { enqueued_at: arrived, reply: answer, permit })
    }
}
