//! One head: a thread that owns the session, and the bounded queue before it.
//!
//! A job carries its tensors, its deadline, the span it belongs to and where to answer. A job whose deadline has
//! passed or whose caller has gone is not run. When the last [`Engine`] is dropped the thread finishes the queue
//! and ends.

use std::{sync::Arc, thread, time::Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use crate::{
    ServeError,
    model::{Answer, Model, Question},
};

/// A handle to a head's thread; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    name: Arc<str>,
    jobs: mpsc::Sender<Job>,
}

struct Job {
    question: Question,
    deadline: Option<Instant>,
    span: Span,
    answer: oneshot::Sender<Result<Answer, ServeError>>,
}

impl Engine {
    /// Starts the thread of a model. `name` stands in logs and errors, `queue` jobs may wait.
    pub(crate) fn start(model: Model, name: &str, queue: usize) -> Result<Self, String> {
        let (jobs, inbox) = mpsc::channel(queue);
        thread::Builder::new()
            .name(format!("engine-{name}"))
            .spawn(move || serve(model, inbox))
            .map_err(|error| error.to_string())?;
        Ok(Self { name: name.into(), jobs })
    }

    /// What the model makes of a question.
    ///
    /// # Errors
    /// [`ServeError::Overloaded`] when the queue is full, [`ServeError::DeadlineExceeded`],
    /// [`ServeError::Internal`] when ONNX Runtime fails.
    pub(crate) async fn run(
        &self,
        question: Question,
        deadline: Option<Instant>,
    ) -> Result<Answer, ServeError> {
        let (answer, answered) = oneshot::channel();
        let job = Job { question, deadline, span: Span::current(), answer };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ServeError::Overloaded { head: self.name.to_string() },
            mpsc::error::TrySendError::Closed(_) => ServeError::Internal("the engine's thread ended".into()),
        })?;
        answered.await.unwrap_or_else(|_| Err(ServeError::Internal("the engine dropped a job".into())))
    }
}

fn serve(mut model: Model, mut inbox: mpsc::Receiver<Job>) {
    while let Some(Job { question, deadline, span, answer }) = inbox.blocking_recv() {
        if answer.is_closed() {
            continue;
        }
        let batch = question.inputs.first().and_then(|input| input.shape.first());
        let _span = tracing::info_span!(parent: &span, "engine", batch).entered();
        let result = if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            Err(ServeError::DeadlineExceeded)
        } else {
            model.run(&question).map_err(ServeError::Internal)
        };
        // The latent of a picture is large: it goes before the answer is worked on.
        drop(question);
        // The caller may have gone in the meantime.
        let _ = answer.send(result);
    }
}
