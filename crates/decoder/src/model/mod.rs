//! A head's model in ONNX Runtime: tensors in and out by name.
//!
//! All items of the inference inputs of a run form one batch. A model whose graph declares the first
//! dimension of an input as 1 takes one item per run, whatever its manifest declares: its items run one after
//! the other, and the outputs are joined.
//!
//! On a GPU, the batch is padded to a power of two, because each new shape costs the selection of an
//! algorithm, and the tensors are in pinned memory ([`pinned`]).

mod inference_input;
mod pinned;
mod run_output;
mod run_times;
pub(crate) mod sizing;

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use lopside_bundle::LATENT_SPACE_KEY;
use ort::{
    session::{Session, SessionInputValue},
    value::{DynValue, Outlet, Tensor, TensorRef},
};

use crate::Runtime;

pub(crate) use self::inference_input::{InferenceInput, NamedTensor};
pub use self::run_output::BatchSlice;
pub(crate) use self::run_output::RunOutput;
pub(crate) use self::run_times::RunTimes;
use pinned::PinnedMemory;

/// The names of a model's inputs and outputs.
#[derive(Debug, Clone)]
pub(crate) struct ModelIo {
    /// Names of the inputs.
    pub(crate) inputs: Vec<String>,
    /// Names of the outputs.
    pub(crate) outputs: Vec<String>,
    /// The latent space that the model reads; a model whose metadata name another one is refused.
    pub(crate) latent_space: String,
}

/// A model that is loaded and whose shapes are verified.
#[derive(Debug)]
pub(crate) struct HeadModel {
    session: Session,
    outputs: Vec<String>,
    /// Whether the model takes one item per run.
    takes_single_item: bool,
    /// Time per item, measured after the warm-up.
    time_per_item: Duration,
    /// The worthwhile batch size, in items.
    worthwhile_batch: usize,
    /// The pinned memory of the tensors; `None` on the CPU, where runs use the callers' memory.
    pinned: Option<PinnedMemory>,
}

impl HeadModel {
    /// Loads a model and runs it a few times. This moves the cost of the warm-up away from the first client,
    /// and measures the worthwhile batch size, up to `most` items.
    ///
    /// # Errors
    /// The reason why the model does not match its manifest.
    pub(crate) fn load(
        runtime: &Runtime,
        model: &[u8],
        io: &ModelIo,
        (one, most): (&InferenceInput, usize),
    ) -> Result<Self, String> {
        let session = runtime.session(model)?;
        check_io(&session, io)?;
        let one_by_one = takes_one(&session);
        let bound =
            runtime.cuda_device().map(|device| PinnedMemory::for_device(&session, device)).transpose();
        let bound = bound.map_err(|error| error.to_string())?;
        let outputs = io.outputs.clone();
        let mut model = Self {
            session,
            outputs,
            takes_single_item: one_by_one,
            time_per_item: Duration::ZERO,
            worthwhile_batch: 1,
            pinned: bound,
        };
        // The first run is slower than all others.
        model.time_run(one)?;
        model.time_per_item = model.time_run(one)?;
        let most = if one_by_one { 1 } else { most };
        model.worthwhile_batch =
            sizing::measure_batch_size(most, |items| model.time_run(&one.repeated(items)))?;
        Ok(model)
    }

    /// Returns the duration of a run.
    fn time_run(&mut self, question: &InferenceInput) -> Result<Duration, String> {
        let (_, times) = self.run(std::slice::from_ref(question))?;
        Ok(times.input + times.infer + times.output)
    }

    /// Returns the worthwhile batch size, in items.
    pub(crate) fn worthwhile(&self) -> usize {
        self.worthwhile_batch
    }

    /// Returns the time per item, measured after the warm-up.
    pub(crate) fn time_per_item(&self) -> Duration {
        self.time_per_item
    }

    /// Returns whether the model runs on the CPU.
    pub(crate) fn is_on_cpu(&self) -> bool {
        self.pinned.is_none()
    }

    /// Returns whether the model takes one item per run.
    pub(crate) fn takes_single_item(&self) -> bool {
        self.takes_single_item
    }

    /// Runs the model on inference inputs of one shape and returns the outputs of all items in order, with
    /// the times of the run.
    ///
    /// # Errors
    /// The error of ONNX Runtime, or an output of an unexpected size.
    pub(crate) fn run(&mut self, questions: &[InferenceInput]) -> Result<(RunOutput, RunTimes), String> {
        let start = Instant::now();
        let question = InferenceInput::joined(questions).ok_or("a batch has no jobs")?;
        let joined_at = Instant::now();
        let items = question.items();
        if self.takes_single_item && items > 1 {
            let mut answers = Vec::with_capacity(items);
            for item in 0..items {
                answers.push(self.batch(&question.single_item(item, items))?.0);
            }
            let ran = Instant::now();
            let answer = run_output::join_outputs(&answers)?;
            let times = RunTimes { input: joined_at - start, infer: ran - joined_at, output: ran.elapsed() };
            return Ok((answer, times));
        }
        let question = if self.pinned.is_some() && !items.is_power_of_two() {
            Cow::Owned(question.padded(items.next_power_of_two()))
        } else {
            question
        };
        let (answer, ran) = self.batch(&question)?;
        Ok((answer, RunTimes { input: joined_at - start, infer: ran - joined_at, output: ran.elapsed() }))
    }

    /// Runs one batch and returns the outputs and the time at which the model had finished.
    fn batch(&mut self, question: &InferenceInput) -> Result<(RunOutput, Instant), String> {
        let made = match &self.pinned {
            Some(bound) => bound.run(&mut self.session, question, &self.outputs)?,
            None => run(&mut self.session, question, &self.outputs)?,
        };
        let ran = Instant::now();
        let expected = self.outputs.iter().zip(&question.output_lens);
        let outputs =
            made.into_iter().zip(expected).map(|(value, (name, &len))| convert_output(value, name, len));
        let outputs = outputs.collect::<Result<_, _>>()?;
        Ok((RunOutput { outputs, items: question.items() }, ran))
    }
}

/// Runs the model once on tensors in the callers' memory and returns the outputs with these names.
fn run(
    session: &mut Session,
    question: &InferenceInput,
    outputs: &[String],
) -> Result<Vec<DynValue>, String> {
    let inputs = question.inputs.iter().map(tensor_view).collect::<Result<Vec<_>, _>>();
    let inputs = inputs.map_err(|error| error.to_string())?;
    let mut made = session.run(inputs).map_err(|error| error.to_string())?;
    outputs.iter().map(|name| run_output::take_output(&mut made, name)).collect()
}

/// Converts an output to a tensor of floats and checks its number of values.
fn convert_output(value: DynValue, name: &str, expected: usize) -> Result<Tensor<f32>, String> {
    let output: Tensor<f32> = value.downcast().map_err(|error| error.to_string())?;
    let found = output.try_extract_tensor::<f32>().map_err(|error| error.to_string())?.1.len();
    if found == expected {
        Ok(output)
    } else {
        Err(format!("the head produced {found} values for {name:?} instead of {expected}"))
    }
}

/// Returns whether the model itself declares the first dimension of an input as 1.
fn takes_one(session: &Session) -> bool {
    session
        .inputs()
        .iter()
        .any(|input| input.dtype().tensor_shape().is_some_and(|shape| shape.first() == Some(&1)))
}

fn tensor_view(input: &NamedTensor) -> Result<(&str, SessionInputValue<'_>), ort::Error> {
    let tensor = TensorRef::from_array_view((input.shape.clone(), input.values.as_slice()))?;
    Ok((&input.name, tensor.into()))
}

fn check_io(session: &Session, io: &ModelIo) -> Result<(), String> {
    if let Some(missing) = io.inputs.iter().find(|input| !has_outlet(session.inputs(), input)) {
        return Err(format!("its model has no input {missing:?}"));
    }
    if let Some(missing) = io.outputs.iter().find(|output| !has_outlet(session.outputs(), output)) {
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

fn has_outlet(outlets: &[Outlet], name: &str) -> bool {
    outlets.iter().any(|outlet| outlet.name() == name)
}
