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
    job::{Job, Terms},
    metrics::HeadName,
    policy::Policy,
    queue::{Batch, Permit, Queue},
    settings::Batching,
    stats::{RunTimes, Stats},
    turn::Turn,
};
use crate::{
    ServeError,
    model::{Answer, Model, Question, Share},
};

/// The queue and the threads of one head. After it is dropped, the threads finish the queue and exit.
#[derive(Debug)]
pub(crate) struct Engine(Arc<Sessions>);

/// The queue of a head and the sessions that can run its jobs.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) queue: Arc<Queue>,
    /// Identical models, one per session.
    models: Vec<Mutex<Model>>,
    /// Whether the models run on the CPU.
    pub(super) on_cpu: bool,
}

/// A submitted job whose result is pending.
#[derive(Debug)]
pub(crate) struct Pending {
    answered: oneshot::Receiver<Result<Share, ServeError>>,
    deadline: Instant,
    turn: Option<Turn>,
}

impl Engine {
    /// Starts one thread per model; all models must be identical. `name` appears in logs, errors and metrics.
    pub(crate) fn start(models: Vec<Model>, name: HeadName<'_>, batching: Batching) -> Result<Self, String> {
        let worthwhile = models.iter().map(Model::worthwhile).max().unwrap_or(1);
        let policy = batching.policy(worthwhile);
        let max_items = if models.iter().any(Model::takes_one) { 1 } else { policy.max_items };
        tracing::debug!(bundle = name.bundle, head = name.head, max_items, "started");
        let queue = Queue::new(name, batching.bounds(), Policy { max_items, ..policy });
        queue.paced(1, models.iter().map(Model::pace).min().unwrap_or_default());
        let on_cpu = models.iter().all(Model::is_on_cpu);
        let models: Vec<_> = models.into_iter().map(Mutex::new).collect();
        let engine = Self(Arc::new(Sessions { queue, models, on_cpu }));
        for session in 0..engine.0.models.len() {
            let sessions = Arc::clone(&engine.0);
            thread::Builder::new()
                .name(format!("engine-{}.{}", name.bundle, name.head))
                .spawn(move || sessions.serve(session))
                .map_err(|error| error.to_string())?;
        }
        Ok(engine)
    }

    /// Reserves a place in the queue, before the work of preparing a question begins.
    ///
    /// # Errors
    /// [`ServeError::Overloaded`] or [`ServeError::DeadlineExceeded`].
    pub(crate) fn admit(&self, items: usize, bytes: usize, terms: Terms) -> Result<Permit, ServeError> {
        self.0.queue.admit(items, bytes, terms)
    }

    /// Enqueues a question with its permit of this engine's queue. A short job runs on the caller's thread while
    /// [`Pending::answer`] is awaited.
    pub(crate) fn ask(&self, permit: Permit, question: Question, terms: Terms) -> Pending {
        let turn = Turn::of(&self.0, question.items());
        let (answer, answered) = oneshot::channel();
        let (request, arrived) = (Span::current(), Instant::now());
        let waiting = tracing::info_span!("queue", items = question.items());
        let job = Job { question, terms, arrived, request, waiting, answer, permit };
        self.0.queue.push(job, turn.is_none());
        Pending { answered, deadline: terms.deadline, turn }
    }

    /// Returns the statistics of the head.
    pub(crate) fn stats(&self) -> &Stats {
        &self.0.queue.stats
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl Sessions {
    /// Runs batches in one session until the queue is closed and empty.
    fn serve(&self, session: usize) {
        while let Some(batch) = self.queue.take() {
            run(&mut self.models[session].lock().unwrap_or_else(PoisonError::into_inner), &self.queue, batch);
        }
    }

    /// Runs queued jobs that take about `longest` at most in a free session. Returns false if all sessions are
    /// busy or the queue is empty.
    pub(super) fn run_now(&self, longest: Duration) -> bool {
        let Some(mut model) = self.models.iter().find_map(free) else { return false };
        let Some(batch) = self.queue.take_now(longest) else { return false };
        run(&mut model, &self.queue, batch);
        true
    }
}

impl Pending {
    /// Waits for the result until the deadline.
    ///
    /// # Errors
    /// [`ServeError::DeadlineExceeded`]; [`ServeError::Internal`] if ONNX Runtime fails.
    pub(crate) async fn answer(self) -> Result<Share, ServeError> {
        if let Some(turn) = self.turn {
            turn.take().await;
        }
        match timeout_at(self.deadline.into(), self.answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ServeError::Internal("the engine dropped a job".into())),
            Err(_) => Err(ServeError::DeadlineExceeded),
        }
    }
}

/// Locks the model; returns `None` if another thread is running it.
fn free(model: &Mutex<Model>) -> Option<MutexGuard<'_, Model>> {
    match model.try_lock() {
        Ok(model) => Some(model),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn run(model: &mut Model, queue: &Queue, Batch { mut jobs, taken }: Batch) {
    jobs.iter_mut().for_each(Job::leave_queue);
    let items = jobs.iter().map(|job| job.question.items()).sum();
    let runs: Vec<Span> = jobs.iter().map(|job| span(job, items)).collect();
    let (questions, rest): (Vec<Question>, Vec<Rest>) = jobs.into_iter().map(Rest::of).unzip();
    let made = catch_unwind(AssertUnwindSafe(|| model.run(&questions)))
        .unwrap_or_else(|_| Err("the code around ONNX Runtime panicked".to_owned()));
    let counts: Vec<usize> = questions.iter().map(Question::items).collect();
    // Latents of images are large: they are freed before the result is distributed.
    drop(questions);
    drop(runs);
    match made {
        Ok((answer, times)) => {
            queue.stats.ran(items, times);
            queue.paced(items, times.input + times.infer + times.output);
            share(&queue.stats, answer, &counts, rest, taken, times);
        }
        Err(reason) => {
            for job in rest {
                queue.stats.failed(job.arrived.elapsed());
                let _ = job.answer.send(Err(ServeError::Internal(reason.clone())));
            }
        }
    }
}

/// Sends each job its slice of the batch's result.
fn share(stats: &Stats, answer: Answer, counts: &[usize], jobs: Vec<Rest>, taken: Instant, times: RunTimes) {
    let answer = Arc::new(answer);
    let mut first = 0;
    for (job, &items) in jobs.into_iter().zip(counts) {
        let share = Share::new(Arc::clone(&answer), first, items);
        first += items;
        let Rest { arrived, answer, permit } = job;
        stats.answered(taken.saturating_duration_since(arrived), times, arrived.elapsed());
        drop(permit);
        // Sending fails if the caller has stopped waiting, which is fine.
        let _ = answer.send(Ok(share));
    }
}

/// Creates the span of the run as a child of the job's request.
fn span(job: &Job, items: usize) -> Span {
    tracing::info_span!(parent: &job.request, "engine", batch = items)
}

/// A job without its question.
struct Rest {
    arrived: Instant,
    answer: oneshot::Sender<Result<Share, ServeError>>,
    permit: Permit,
}

impl Rest {
    fn of(job: Job) -> (Question, Self) {
        let Job { question, arrived, answer, permit, .. } = job;
        (question, Self { arrived, answer, permit })
    }
}
