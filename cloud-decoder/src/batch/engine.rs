//! The threads of one head: each has a session and runs batch after batch.
//!
//! A run that takes less time than handing it over would is not handed over: when nothing waits and a session is free, the
//! caller's thread runs it. That is so for models that lately took less than [`QUICK`] in all, on the CPU.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
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
};
use crate::{
    ServeError,
    model::{Answer, Model, Question, Share},
};

/// The longest run that its caller's thread does itself.
const QUICK: Duration = Duration::from_micros(100);

/// A head's queue and threads. When it is dropped, the threads finish the queue and end.
#[derive(Debug)]
pub(crate) struct Engine {
    queue: Arc<Queue>,
    models: Vec<Arc<Mutex<Model>>>,
}

/// An answer to come.
#[derive(Debug)]
pub(crate) struct Pending {
    answered: oneshot::Receiver<Result<Share, ServeError>>,
    deadline: Instant,
}

impl Engine {
    /// Starts a thread for each model, all of which are the same. `name` stands in logs, errors and metrics.
    pub(crate) fn start(models: Vec<Model>, name: HeadName<'_>, batching: Batching) -> Result<Self, String> {
        let worthwhile = models.iter().map(Model::worthwhile).max().unwrap_or(1);
        let policy = batching.policy(worthwhile);
        let max_items = if models.iter().any(Model::takes_one) { 1 } else { policy.max_items };
        tracing::debug!(bundle = name.bundle, head = name.head, max_items, "started");
        let queue = Queue::new(name, batching.bounds(), Policy { max_items, ..policy });
        queue.paced(1, models.iter().map(Model::pace).min().unwrap_or_default());
        let models = models.into_iter().map(|model| Arc::new(Mutex::new(model))).collect();
        let engine = Self { queue, models };
        for model in &engine.models {
            let (model, queue) = (Arc::clone(model), Arc::clone(&engine.queue));
            thread::Builder::new()
                .name(format!("engine-{}.{}", name.bundle, name.head))
                .spawn(move || serve(&model, &queue))
                .map_err(|error| error.to_string())?;
        }
        Ok(engine)
    }

    /// A place in the queue, to be taken before the work of making a question begins.
    ///
    /// # Errors
    /// [`ServeError::Overloaded`] or [`ServeError::DeadlineExceeded`].
    pub(crate) fn admit(&self, items: usize, bytes: usize, terms: Terms) -> Result<Permit, ServeError> {
        self.queue.admit(items, bytes, terms)
    }

    /// Asks a question that has a place in this engine's queue.
    pub(crate) fn ask(&self, permit: Permit, question: Question, terms: Terms) -> Pending {
        let (answer, answered) = oneshot::channel();
        let (request, arrived) = (Span::current(), Instant::now());
        let waiting = tracing::info_span!("queue", items = question.items());
        let job = Job { question, terms, arrived, request, waiting, answer, permit };
        if let Some(job) = self.run_here(job) {
            self.queue.push(job);
        }
        Pending { answered, deadline: terms.deadline }
    }

    /// Runs a job at once when that is quick and nothing is before it; gives it back otherwise.
    fn run_here(&self, job: Job) -> Option<Job> {
        let quick = self.queue.work(job.question.items()) <= QUICK && self.queue.is_empty();
        let mut free = self.models.iter().filter(|_| quick).filter_map(|model| model.try_lock().ok());
        let Some(mut model) = free.next().filter(|model| model.is_on_cpu()) else { return Some(job) };
        let taken = job.arrived;
        run(&mut model, &self.queue, Batch { jobs: vec![job], taken });
        None
    }

    /// Its figures.
    pub(crate) fn stats(&self) -> &Stats {
        &self.queue.stats
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Pending {
    /// The answer, by the deadline.
    ///
    /// # Errors
    /// [`ServeError::DeadlineExceeded`], [`ServeError::Internal`] when ONNX Runtime fails.
    pub(crate) async fn answer(self) -> Result<Share, ServeError> {
        match timeout_at(self.deadline.into(), self.answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ServeError::Internal("the engine dropped a job".into())),
            Err(_) => Err(ServeError::DeadlineExceeded),
        }
    }
}

fn serve(model: &Mutex<Model>, queue: &Queue) {
    while let Some(batch) = queue.take() {
        run(&mut model.lock().unwrap_or_else(PoisonError::into_inner), queue, batch);
    }
}

fn run(model: &mut Model, queue: &Queue, Batch { mut jobs, taken }: Batch) {
    jobs.iter_mut().for_each(Job::leave_queue);
    let items = jobs.iter().map(|job| job.question.items()).sum();
    let runs: Vec<Span> = jobs.iter().map(|job| span(job, items)).collect();
    let (questions, rest): (Vec<Question>, Vec<Rest>) = jobs.into_iter().map(Rest::of).unzip();
    let made = catch_unwind(AssertUnwindSafe(|| model.run(&questions)))
        .unwrap_or_else(|_| Err("ONNX Runtime's caller panicked".to_owned()));
    let counts: Vec<usize> = questions.iter().map(Question::items).collect();
    // The latent of a picture is large: it goes before the answer is worked on.
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

/// Gives each job its items of the answer.
fn share(stats: &Stats, answer: Answer, counts: &[usize], jobs: Vec<Rest>, taken: Instant, times: RunTimes) {
    let answer = Arc::new(answer);
    let mut first = 0;
    for (job, &items) in jobs.into_iter().zip(counts) {
        let share = Share::new(Arc::clone(&answer), first, items);
        first += items;
        let Rest { arrived, answer, permit } = job;
        stats.answered(taken.saturating_duration_since(arrived), times, arrived.elapsed());
        drop(permit);
        // The caller may have gone in the meantime.
        let _ = answer.send(Ok(share));
    }
}

/// The run, as a part of the job's request.
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
