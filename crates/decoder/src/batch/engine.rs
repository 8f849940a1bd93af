//! The engine of one head: its queue, and the threads that run its batches.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use tokio::{sync::oneshot, time::timeout_at};
use tracing::Span;

use super::{
    caller_run::CallerRun, head_name::HeadName, job::Job, permit::Permit, policy::BatchPolicy, queue::Queue,
    session_pool::SessionPool, settings::BatchSettings, stats::HeadStats,
};
use crate::{
    DecodeError, RequestOptions,
    model::{BatchSlice, HeadModel, InferenceInput},
};

/// The queue and the threads of one head. After it is dropped, the threads finish the queue and exit.
#[derive(Debug)]
pub struct Engine(Arc<SessionPool>);

/// A submitted job whose result is pending.
#[derive(Debug)]
pub(crate) struct PendingResult {
    receiver: oneshot::Receiver<Result<BatchSlice, DecodeError>>,
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

    /// Acquires a permit of the queue, before the work of preparing an input begins.
    ///
    /// # Errors
    /// [`DecodeError::Overloaded`] or [`DecodeError::DeadlineExceeded`].
    pub(crate) fn admit(
        &self,
        items: usize,
        bytes: usize,
        options: RequestOptions,
    ) -> Result<Permit, DecodeError> {
        self.0.queue.admit(items, bytes, options)
    }

    /// Enqueues an inference input with its permit of this engine's queue. A short job runs on the caller's
    /// thread while [`PendingResult::wait_for_result`] is awaited.
    pub(crate) fn submit_job(
        &self,
        permit: Permit,
        input: InferenceInput,
        options: RequestOptions,
    ) -> PendingResult {
        let caller_run = CallerRun::try_new(&self.0, input.items());
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
        self.0.queue.push(job, caller_run.is_none());
        PendingResult { receiver, deadline: options.deadline, caller_run }
    }

    /// Returns the statistics of the head.
    #[must_use]
    pub fn stats(&self) -> &HeadStats {
        self.0.queue.stats()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl PendingResult {
    /// Waits for the result until the deadline.
    ///
    /// # Errors
    /// [`DecodeError::DeadlineExceeded`]; [`DecodeError::Internal`] if ONNX Runtime fails.
    pub(crate) async fn wait_for_result(self) -> Result<BatchSlice, DecodeError> {
        if let Some(caller_run) = self.caller_run {
            caller_run.run_queued().await;
        }
        match timeout_at(self.deadline.into(), self.receiver).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DecodeError::Internal("the engine dropped a job".into())),
            Err(_) => Err(DecodeError::DeadlineExceeded),
        }
    }
}
