//! A head's model in ONNX Runtime: tensors in and out by name.
//!
//! All items of the inference inputs of a run form one batch. A model whose graph declares the first
//! dimension of an input as 1 takes one item per run, whatever its manifest declares: its items run one after
//! the other, and the outputs are joined.
//!
//! On a GPU, the batch is padded to a power of two, because each new shape costs the selection of an
//! algorithm, and the tensors are in pinned memory ([`bound`]).

mod answer;
mod bound;
mod question;

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use lopside_bundle::LATENT_SPACE_KEY;
use ort::{
    session::{Session, SessionInputValue},
    value::{DynValue, Tensor, TensorRef},
};

use crate::{
    Runtime,
    batch::{sizing, stats::RunTimes},
};

pub(crate) use answer::{Answer, Share};
use bound::Bound;
pub(crate) use question::{Input, Question};

/// The names of a model's inputs and outputs.
#[derive(Debug, Clone)]
pub(crate) struct Io {
    /// Names of the inputs.
    pub(crate) inputs: Vec<String>,
    /// Names of the outputs.
    pub(crate) outputs: Vec<String>,
    /// The latent space that the model reads; a model whose metadata name another one is refused.
    pub(crate) latent_space: String,
}

/// A model that is loaded and whose shapes are verified.
#[derive(Debug)]
pub(crate) struct Model {
    session: Session,
    outputs: Vec<String>,
    /// Whether the model takes one item per run.
    one_by_one: bool,
    /// Time per item, measured after the warm-up.
    pace: Duration,
    /// The worthwhile batch size, in items.
    worthwhile: usize,
    /// The pinned memory of the tensors; `None` on the CPU, where runs use the callers' memory.
    bound: Option<Bound>,
}

impl Model {
    /// Loads a model and runs it a few times. This moves the cost of the warm-up away from the first client,
    /// and measures the worthwhile batch size, up to `most` items.
    ///
    /// # Errors
    /// The reason why the model does not match its manifest.
    pub(crate) fn load(
        runtime: &Runtime,
        model: &[u8],
        io: &Io,
        (one, most): (&Question, usize),
    ) -> Result<Self, String> {
        let session = runtime.session(model)?;
        check(&session, io)?;
        let one_by_one = takes_one(&session);
        let bound = runtime.cuda_device().map(|device| Bound::pinned(&session, device)).transpose();
        let bound = bound.map_err(|error| error.to_string())?;
        let outputs = io.outputs.clone();
        let mut model = Self { session, outputs, one_by_one, pace: Duration::ZERO, worthwhile: 1, bound };
        // The first run is slower than all others.
        model.time(one)?;
        model.pace = model.time(one)?;
        let most = if one_by_one { 1 } else { most };
        model.worthwhile = sizing::worthwhile(most, |items| model.time(&one.repeated(items)))?;
        Ok(model)
    }

    /// Returns the duration of a run.
    fn time(&mut self, question: &Question) -> Result<Duration, String> {
        let (_, times) = self.run(std::slice::from_ref(question))?;
        Ok(times.input + times.infer + times.output)
    }

    /// Returns the worthwhile batch size, in items.
    pub(crate) fn worthwhile(&self) -> usize {
        self.worthwhile
    }

    /// Returns the time per item, measured after the warm-up.
    pub(crate) fn pace(&self) -> Duration {
        self.pace
    }

    /// Returns whether the model runs on the CPU.
    pub(crate) fn is_on_cpu(&self) -> bool {
        self.bound.is_none()
    }

    /// Returns whether the model takes one item per run.
    pub(crate) fn takes_one(&self) -> bool {
        self.one_by_one
    }

    /// Runs the model on inference inputs of one shape and returns the outputs of all items in order, with
    /// the times of the run.
    ///
    /// # Errors
    /// The error of ONNX Runtime, or an output of an unexpected size.
    pub(crate) fn run(&mut self, questions: &[Question]) -> Result<(Answer, RunTimes), String> {
        let start = Instant::now();
        let question = Question::joined(questions).ok_or("a batch has no jobs")?;
        let joined_at = Instant::now();
        let items = question.items();
        if self.one_by_one && items > 1 {
            let mut answers = Vec::with_capacity(items);
            for item in 0..items {
                answers.push(self.batch(&question.item(item, items))?.0);
            }
            let ran = Instant::now();
            let answer = answer::joined(&answers)?;
            let times = RunTimes { input: joined_at - start, infer: ran - joined_at, output: ran.elapsed() };
            return Ok((answer, times));
        }
        let question = if self.bound.is_some() && !items.is_power_of_two() {
            Cow::Owned(question.padded(items.next_power_of_two()))
        } else {
            question
        };
        let (answer, ran) = self.batch(&question)?;
        Ok((answer, RunTimes { input: joined_at - start, infer: ran - joined_at, output: ran.elapsed() }))
    }

    /// Runs one batch and returns the outputs and the time at which the model had finished.
    fn batch(&mut self, question: &Question) -> Result<(Answer, Instant), String> {
        let made = match &self.bound {
            Some(bound) => bound.run(&mut self.session, question, &self.outputs)?,
            None => run(&mut self.session, question, &self.outputs)?,
        };
        let ran = Instant::now();
        let expected = self.outputs.iter().zip(&question.output_lens);
        let outputs = made.into_iter().zip(expected).map(|(value, (name, &len))| output(value, name, len));
        let outputs = outputs.collect::<Result<_, _>>()?;
        Ok((Answer { outputs, items: question.items() }, ran))
    }
}

/// Runs the model once on tensors in the callers' memory and returns the outputs with these names.
fn run(session: &mut Session, question: &Question, outputs: &[String]) -> Result<Vec<DynValue>, String> {
    let text = |error: ort::Error| error.to_string();
    let inputs = question.inputs.iter().map(view).collect::<Result<Vec<_>, _>>().map_err(text)?;
    let mut made = session.run(inputs).map_err(text)?;
    let take = |name: &String| made.remove(name).ok_or_else(|| format!("the output {name:?} is missing"));
    outputs.iter().map(take).collect()
}

/// Converts an output to a tensor of floats and checks its number of values.
fn output(value: DynValue, name: &str, expected: usize) -> Result<Tensor<f32>, String> {
    let text = |error: ort::Error| error.to_string();
    let output: Tensor<f32> = value.downcast().map_err(text)?;
    let found = output.try_extract_tensor::<f32>().map_err(text)?.1.len();
    if found == expected {
        Ok(output)
    } else {
        Err(format!("the head produced {found} values for {name:?} instead of {expected}"))
    }
}

/// Returns whether the model itself declares the first dimension of an input as 1.
fn takes_one(session: &Session) -> bool {
    let first = |outlet: &ort::value::Outlet| outlet.dtype().tensor_shape()?.first().copied();
    session.inputs().iter().any(|input| first(input) == Some(1))
}

fn view(input: &Input) -> Result<(&str, SessionInputValue<'_>), ort::Error> {
    let tensor = TensorRef::from_array_view((input.shape.clone(), input.values.as_slice()))?;
    Ok((&input.name, tensor.into()))
}

fn check(session: &Session, io: &Io) -> Result<(), String> {
    let has = |outlets: &[ort::value::Outlet], name: &str| outlets.iter().any(|outlet| outlet.name() == name);
    if let Some(missing) = io.inputs.iter().find(|input| !has(session.inputs(), input)) {
        return Err(format!("its model has no input {missing:?}"));
    }
    if let Some(missing) = io.outputs.iter().find(|output| !has(session.outputs(), output)) {
        return Err(format!("its model has no output {missing:?}"));
    }
    let named = session.metadata().ok().and_then(|metadata| metadata.custom(LATENT_SPACE_KEY));
    match named {
        Some(named) if named != io.latent_space => {
            Err(format!("its model reads latent space {named}, but the bundle has {}", io.latent_space))
        }
        _ => Ok(()),
    }
}
