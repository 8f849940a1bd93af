//! A head's model in ONNX Runtime: tensors in and out by name.
//!
//! All items of the questions of a run are one batch. A model that declares the first dimension of an input as 1 takes one item
//! at a time, whatever its manifest says: its items run one after the other, and the answer is put together.
//!
//! On a GPU the number of items is filled up to a power of two, because each new shape costs it a search for the quickest
//! way, and tensors are in pinned memory ([`bound`]).

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

/// What a model reads and writes, by name.
#[derive(Debug, Clone)]
pub(crate) struct Io {
    /// The inputs.
    pub(crate) inputs: Vec<String>,
    /// The outputs.
    pub(crate) outputs: Vec<String>,
    /// The latent space it reads; a model that names another one in its metadata is refused.
    pub(crate) latent_space: String,
}

/// A model that is loaded and has proved its shapes.
#[derive(Debug)]
pub(crate) struct Model {
    session: Session,
    outputs: Vec<String>,
    /// Whether it takes a single item a run.
    one_by_one: bool,
    /// What an item took once the model was warm.
    pace: Duration,
    /// Items that are worth a run.
    worthwhile: usize,
    /// Where its tensors are; on the CPU where callers have them.
    bound: Option<Bound>,
}

impl Model {
    /// Loads a model and runs it a few times: that moves the cost of warming up away from the first client, and tells
    /// how many items, up to `most`, are worth a run.
    ///
    /// # Errors
    /// Why the model cannot be what its manifest says.
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

    /// How long a run takes.
    fn time(&mut self, question: &Question) -> Result<Duration, String> {
        let (_, times) = self.run(std::slice::from_ref(question))?;
        Ok(times.input + times.infer + times.output)
    }

    /// Items that are worth a run.
    pub(crate) fn worthwhile(&self) -> usize {
        self.worthwhile
    }

    /// What an item took once the model was warm.
    pub(crate) fn pace(&self) -> Duration {
        self.pace
    }

    /// Whether it runs on the CPU.
    pub(crate) fn is_on_cpu(&self) -> bool {
        self.bound.is_none()
    }

    /// Whether it takes a single item a run.
    pub(crate) fn takes_one(&self) -> bool {
        self.one_by_one
    }

    /// What the model makes of questions of one shape, their items one after the other, and what it took.
    ///
    /// # Errors
    /// What ONNX Runtime says, or that an output is not of the expected size.
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

    /// One run, and when the model was done.
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

/// The outputs of one run over tensors where callers have them.
fn run(session: &mut Session, question: &Question, outputs: &[String]) -> Result<Vec<DynValue>, String> {
    let text = |error: ort::Error| error.to_string();
    let inputs = question.inputs.iter().map(view).collect::<Result<Vec<_>, _>>().map_err(text)?;
    let mut made = session.run(inputs).map_err(text)?;
    let take = |name: &String| made.remove(name).ok_or_else(|| format!("the output {name:?} is missing"));
    outputs.iter().map(take).collect()
}

/// An output of so many values.
fn output(value: DynValue, name: &str, expected: usize) -> Result<Tensor<f32>, String> {
    let text = |error: ort::Error| error.to_string();
    let output: Tensor<f32> = value.downcast().map_err(text)?;
    let found = output.try_extract_tensor::<f32>().map_err(text)?.1.len();
    if found == expected {
        Ok(output)
    } else {
        Err(format!("the head made {found} values of {name:?} instead of {expected}"))
    }
}

/// Whether an input's first dimension is 1 by the model's own word.
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
            Err(format!("its model reads latent space {named}, the bundle's is {}", io.latent_space))
        }
        _ => Ok(()),
    }
}
