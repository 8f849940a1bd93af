//! One head: a thread that owns the session, and the bounded queue before it.
//!
//! A job carries its latents, its deadline, the span it belongs to and where to answer. A job whose deadline has
//! passed or whose caller has gone is not run. When the last [`Engine`] is dropped the thread finishes the queue
//! and ends.

use std::{sync::Arc, thread, time::Instant};

use lopside_bundle::LATENT_SPACE_KEY;
use ort::{session::Session, value::TensorRef};
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use crate::{Runtime, ServeError};

/// A handle to a head's thread; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    name: Arc<str>,
    jobs: mpsc::Sender<Job>,
}

/// The tensors a head reads and writes.
#[derive(Debug, Clone)]
pub(crate) struct Io {
    /// The input's name.
    pub(crate) input: String,
    /// The input's shape without the batch.
    pub(crate) input_dims: Vec<usize>,
    /// The output's name.
    pub(crate) output: String,
    /// Values of one output.
    pub(crate) output_len: usize,
    /// The latent space it reads; a model that names another one in its metadata is refused.
    pub(crate) latent_space: String,
}

struct Job {
    latents: Vec<f32>,
    batch: usize,
    deadline: Option<Instant>,
    span: Span,
    answer: oneshot::Sender<Result<Vec<f32>, ServeError>>,
}

impl Engine {
    /// Loads a model and starts its thread. `name` stands in logs and errors, `queue` jobs may wait.
    pub(crate) fn start(
        runtime: &Runtime,
        name: &str,
        model: &[u8],
        io: Io,
        queue: usize,
    ) -> Result<Self, String> {
        let session = runtime.session(model)?;
        check(&session, &io)?;
        let (jobs, inbox) = mpsc::channel(queue);
        let mut worker = Worker { session, io };
        // A first run moves the cost of warming up away from the first client, and proves the shapes.
        worker.run(&vec![0.0; worker.io.input_dims.iter().product()], 1)?;
        thread::Builder::new()
            .name(format!("engine-{name}"))
            .spawn(move || worker.serve(inbox))
            .map_err(|error| error.to_string())?;
        Ok(Self { name: name.into(), jobs })
    }

    /// The head's outputs for a batch of latents, one after the other, row-major.
    ///
    /// # Errors
    /// [`ServeError::Overloaded`] when the queue is full, [`ServeError::DeadlineExceeded`],
    /// [`ServeError::Internal`] when ONNX Runtime fails.
    pub async fn run(
        &self,
        latents: Vec<f32>,
        batch: usize,
        deadline: Option<Instant>,
    ) -> Result<Vec<f32>, ServeError> {
        let (answer, answered) = oneshot::channel();
        let job = Job { latents, batch, deadline, span: Span::current(), answer };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ServeError::Overloaded { head: self.name.to_string() },
            mpsc::error::TrySendError::Closed(_) => ServeError::Internal("the engine's thread ended".into()),
        })?;
        answered.await.unwrap_or_else(|_| Err(ServeError::Internal("the engine dropped a job".into())))
    }
}

struct Worker {
    session: Session,
    io: Io,
}

impl Worker {
    fn serve(mut self, mut inbox: mpsc::Receiver<Job>) {
        while let Some(job) = inbox.blocking_recv() {
            if job.answer.is_closed() {
                continue;
            }
            let _span = tracing::info_span!(parent: &job.span, "engine", batch = job.batch).entered();
            let result = if job.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                Err(ServeError::DeadlineExceeded)
            } else {
                self.run(&job.latents, job.batch).map_err(ServeError::Internal)
            };
            // The caller may have gone in the meantime.
            let _ = job.answer.send(result);
        }
    }

    fn run(&mut self, latents: &[f32], batch: usize) -> Result<Vec<f32>, String> {
        let text = |error: ort::Error| error.to_string();
        let shape: Vec<usize> = std::iter::once(batch).chain(self.io.input_dims.iter().copied()).collect();
        let input = TensorRef::from_array_view((shape, latents)).map_err(text)?;
        let outputs = self.session.run(ort::inputs![self.io.input.as_str() => input]).map_err(text)?;
        let output = outputs.get(&self.io.output).ok_or("the output is missing")?;
        let (_, values) = output.try_extract_tensor::<f32>().map_err(text)?;
        let expected = batch * self.io.output_len;
        if values.len() == expected {
            Ok(values.to_vec())
        } else {
            Err(format!("the head made {} values instead of {expected}", values.len()))
        }
    }
}

fn check(session: &Session, io: &Io) -> Result<(), String> {
    let has = |outlets: &[ort::value::Outlet], name: &str| outlets.iter().any(|outlet| outlet.name() == name);
    if !has(session.inputs(), &io.input) {
        return Err(format!("its model has no input {:?}", io.input));
    }
    if !has(session.outputs(), &io.output) {
        return Err(format!("its model has no output {:?}", io.output));
    }
    let named = session.metadata().ok().and_then(|metadata| metadata.custom(LATENT_SPACE_KEY));
    match named {
        Some(named) if named != io.latent_space => {
            Err(format!("its model reads latent space {named}, the bundle's is {}", io.latent_space))
        }
        _ => Ok(()),
    }
}
