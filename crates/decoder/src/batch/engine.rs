//! The engine of one head: its queue, and the threads that run its batches.

use std::{sync::Arc, thread, time::Instant};

use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle, time::timeout_at};
use tracing::Span;

use super::{
    admission::Admission,
    caller_run::{is_short, spawn_turn},
    head_name::HeadName,
    job::Job,
    monitor::SystemMonitor,
    permit::Permit,
    policy::BatchPolicy,
    queue::JobQueue,
    queue_state::{QueueState, QueueTypes},
    run_batch::run_batch,
    settings::BatchSettings,
    stats::HeadStats,
    turn::Turn,
};
use crate::{
    DecodeError, RequestOptions,
    model::{BatchSlice, HeadModel, InferenceInput},
};

/// The queue and the threads of one head. After it is dropped, the threads finish the queue and exit.
#[derive(Debug)]
pub struct Engine {
    queue: Arc<JobQueue<HeadTypes>>,
    admission: Arc<Admission>,
    /// Whether the models run on the CPU.
    on_cpu: bool,
}

/// The types of a head's queue. The sessions are identical models.
#[derive(Debug)]
enum HeadTypes {}

/// A submitted job whose result is pending.
#[derive(Debug)]
pub(crate) struct PendingResult {
    receiver: oneshot::Receiver<Result<BatchSlice, DecodeError>>,
    deadline: Instant,
    /// The task that runs the job if it is short. It continues if this value is dropped.
    caller_run: Option<JoinHandle<()>>,
}

impl QueueTypes for HeadTypes {
    type Job = Job;
    type Session = HeadModel;
    type Monitor = SystemMonitor<QueueState<Self>>;
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
        let admission = Arc::new(Admission::new(name, batching.queue_limits()));
        admission.update_pace(1, models.iter().map(HeadModel::time_per_item).min().unwrap_or_default());
        let on_cpu = models.iter().all(HeadModel::is_on_cpu);
        let threads = models.len();
        let queue = JobQueue::new(BatchPolicy { max_items, ..policy }, models);
        let engine = Self { queue, admission, on_cpu };
        for number in 0..threads {
            engine.spawn_thread(name, number).map_err(|error| error.to_string())?;
        }
        Ok(engine)
    }

    /// Acquires a permit of the queue, before the work of preparing an input begins.
    ///
    /// # Errors
    /// [`DecodeError::Overloaded`], [`DecodeError::DeadlineTooShort`] or [`DecodeError::DeadlineExceeded`].
    pub(crate) fn admit(
        &self,
        items: usize,
        bytes: usize,
        options: RequestOptions,
    ) -> Result<Permit, DecodeError> {
        self.admission.admit(items, bytes, options, || self.queue.discard_dead_jobs())
    }

    /// Enqueues an inference input with its permit of this engine's queue. A short job runs on the caller's
    /// thread, in a task of its own.
    pub(crate) fn submit_job(
        &self,
        permit: Permit,
        input: InferenceInput,
        options: RequestOptions,
    ) -> PendingResult {
        let runtime = self.runtime_of_short_job(input.items());
        let (reply, receiver) = oneshot::channel();
        let job = Job {
            enqueued_at: Instant::now(),
            request_span: Span::current(),
            queue_span: tracing::info_span!("queue", items = input.items()),
            input,
            options,
            reply,
            permit,
        };
        let caller_run = if let Some(runtime) = runtime {
            Some(self.run_on_caller(&runtime, job))
        } else {
            self.queue.push(job);
            None
        };
        PendingResult { receiver, deadline: options.deadline, caller_run }
    }

    /// Returns the statistics of the head.
    #[must_use]
    pub fn stats(&self) -> &HeadStats {
        self.admission.stats()
    }

    fn spawn_thread(&self, name: HeadName<'_>, number: usize) -> std::io::Result<()> {
        let (queue, admission) = (Arc::clone(&self.queue), Arc::clone(&self.admission));
        thread::Builder::new()
            .name(format!("engine-{}.{}", name.bundle, name.head))
            .spawn(move || queue.run_batches(number, |model, batch| run_batch(model, &admission, batch)))?;
        Ok(())
    }

    /// Returns the runtime of the calling thread if it should run a job of `items` items itself.
    fn runtime_of_short_job(&self, items: usize) -> Option<Handle> {
        let runs_here = self.on_cpu && is_short(&self.admission, items);
        runs_here.then(Handle::try_current)?.ok()
    }

    fn run_on_caller(&self, runtime: &Handle, job: Job) -> JoinHandle<()> {
        let turn = Turn::enqueue(&self.queue, job);
        let admission = Arc::clone(&self.admission);
        spawn_turn(runtime, turn, Arc::clone(&self.admission), move |model, batch| {
            run_batch(model, &admission, batch);
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl PendingResult {
    /// Waits for the result until the deadline.
    ///
    /// # Errors
    /// [`DecodeError::DeadlineExceeded`]; [`DecodeError::Internal`] if ONNX Runtime fails.
    pub(crate) async fn wait_for_result(self) -> Result<BatchSlice, DecodeError> {
        if let Some(caller_run) = self.caller_run {
            // The task ends soon, and usually with the result, so that no timer is set. If it fails, an engine
            // thread takes over.
            let _ = caller_run.await;
        }
        match timeout_at(self.deadline.into(), self.receiver).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DecodeError::Internal("the engine dropped a job".into())),
            Err(_) => Err(DecodeError::DeadlineExceeded),
        }
    }
}
