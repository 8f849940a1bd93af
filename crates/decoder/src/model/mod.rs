//! A head's model in ONNX Runtime: tensors in and out by name.
//!
//! All items of the inference inputs of a run form one batch. A model whose graph declares the first
//! dimension of an input as 1 takes one item per run, whatever its manifest declares: its items run one after
//! the other, and the outputs are joined.
//!
//! On a GPU, the batch is padded to a power of two, because each new shape costs the selection of an
//! algorithm, and the tensors are in pinned memory ([`pinned`]).
//!
//! The run of a single inference input ends early if its [`RunHandle`] is cancelled.

mod inference_input;
mod pinned;
mod run_handle;
mod run_output;
mod run_times;
pub(crate) mod sizing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lopside_bundle::LATENT_SPACE_KEY;
use ort::{
    session::{RunOptions, Session, SessionInputValue},
    value::{DynValue, Outlet, Tensor, TensorRef},
};

use crate::{Runtime, runtime::SessionMemory};

pub(crate) use self::inference_input::{InferenceInput, NamedTensor};
pub(crate) use self::run_handle::RunHandle;
pub use self::run_output::BatchSlice;
pub(crate) use self::run_output::RunOutput;
pub(crate) use self::run_times::RunTimes;
use pinned::PinnedMemory;

/// The error of a run that was cancelled. Nobody waits for it any more.
const CANCELLED: &str = "the run was ended early, because its caller has left or its deadline has passed";

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

/// A model that is not loaded yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelSource<'a> {
    /// The contents of the ONNX file.
    pub(crate) bytes: &'a [u8],
    /// The names that the model must have.
    pub(crate) io: &'a ModelIo,
    /// The memory of its runs.
    pub(crate) memory: SessionMemory,
}

/// A model that is loaded and whose shapes are verified.
#[derive(Debug)]
pub(crate) struct HeadModel {
    session: Session,
    output_names: Vec<String>,
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
    /// Loads a model and runs it a few times on an input of one item. This moves the cost of the warm-up away
    /// from the first client, and measures the worthwhile batch size, up to `max_items` items.
    ///
    /// # Errors
    /// The reason why the model does not match its manifest.
    pub(crate) fn load(
        runtime: &Runtime,
        ModelSource { bytes, io, memory }: ModelSource<'_>,
        (input, max_items): (&InferenceInput, usize),
    ) -> Result<Self, String> {
        let session = runtime.session_with(bytes, memory)?;
        check_io(&session, io)?;
        let takes_single_item = declares_single_item(&session);
        let pinned =
            runtime.cuda_device().map(|device| PinnedMemory::for_device(&session, device)).transpose();
        let mut model = Self {
            session,
            output_names: io.outputs.clone(),
            takes_single_item,
            time_per_item: Duration::ZERO,
            worthwhile_batch: 1,
            pinned: pinned.map_err(|error| error.to_string())?,
        };
        // The first run is slower than all others.
        model.time_run(input)?;
        model.time_per_item = model.time_run(input)?;
        let max_items = if takes_single_item { 1 } else { max_items };
        model.worthwhile_batch =
            sizing::measure_batch_size(max_items, |items| model.time_run(&input.repeated(items)))?;
        Ok(model)
    }

    /// Returns the duration of a run.
    ///
    /// # Errors
    /// See [`run`](Self::run).
    pub(crate) fn time_run(&mut self, input: &InferenceInput) -> Result<Duration, String> {
        let (_, times) = self.run(std::slice::from_ref(input))?;
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
    /// The error of ONNX Runtime, an output of an unexpected size, or the cancellation of the run of a single
    /// inference input.
    pub(crate) fn run(&mut self, inputs: &[InferenceInput]) -> Result<(RunOutput, RunTimes), String> {
        match inputs {
            [InferenceInput { run_handle: Some(handle), .. }] => self.run_cancellable(inputs, handle),
            _ => self.run_to_end(inputs, None),
        }
    }

    /// Runs the model unless and until the handle is cancelled.
    fn run_cancellable(
        &mut self,
        inputs: &[InferenceInput],
        handle: &RunHandle,
    ) -> Result<(RunOutput, RunTimes), String> {
        let options = Arc::new(RunOptions::new().map_err(|error| error.to_string())?);
        if !handle.start(&options) {
            return Err(CANCELLED.to_owned());
        }
        let result = self.run_to_end(inputs, Some(&options));
        handle.end();
        if handle.is_cancelled() { Err(CANCELLED.to_owned()) } else { result }
    }

    fn run_to_end(
        &mut self,
        inputs: &[InferenceInput],
        options: Option<&RunOptions>,
    ) -> Result<(RunOutput, RunTimes), String> {
        let started_at = Instant::now();
        let items: usize = inputs.iter().map(InferenceInput::items).sum();
        let batch = InferenceInput::joined(inputs, self.padded_items(items)).ok_or("a batch has no jobs")?;
        let joined_at = Instant::now();
        let (mut output, ran_at) = if self.takes_single_item && items > 1 {
            self.run_items(&batch, options)?
        } else {
            self.run_batch(&batch, options)?
        };
        let times =
            RunTimes { input: joined_at - started_at, infer: ran_at - joined_at, output: ran_at.elapsed() };
        output.infer_time = times.infer;
        Ok((output, times))
    }

    /// Returns the number of items of a batch with its padding, which only a GPU requires.
    fn padded_items(&self, items: usize) -> usize {
        if self.pinned.is_some() && !self.takes_single_item { items.next_power_of_two() } else { items }
    }

    /// Runs the items of a batch one after the other, and returns the joined outputs and the time at which the
    /// model had finished.
    fn run_items(
        &mut self,
        batch: &InferenceInput,
        options: Option<&RunOptions>,
    ) -> Result<(RunOutput, Instant), String> {
        let items = batch.items();
        let mut outputs = Vec::with_capacity(items);
        for item in 0..items {
            outputs.push(self.run_batch(&batch.single_item(item, items), options)?.0);
        }
        let ran_at = Instant::now();
        Ok((run_output::join_outputs(&outputs)?, ran_at))
    }

    /// Runs one batch and returns the outputs and the time at which the model had finished.
    fn run_batch(
        &mut self,
        batch: &InferenceInput,
        options: Option<&RunOptions>,
    ) -> Result<(RunOutput, Instant), String> {
        let values = match &self.pinned {
            Some(pinned) => pinned.run(&mut self.session, batch, &self.output_names, options)?,
            None => run_session(&mut self.session, batch, &self.output_names, options)?,
        };
        let ran_at = Instant::now();
        let expected = self.output_names.iter().zip(&batch.output_lens);
        let outputs =
            values.into_iter().zip(expected).map(|(value, (name, &len))| convert_output(value, name, len));
        let outputs = outputs.collect::<Result<_, _>>()?;
        Ok((RunOutput { outputs, items: batch.items(), infer_time: Duration::ZERO }, ran_at))
    }
}

/// Runs the model once on tensors in the callers' memory and returns the outputs with these names.
fn run_session(
    session: &mut Session,
    batch: &InferenceInput,
    output_names: &[String],
    options: Option<&RunOptions>,
) -> Result<Vec<DynValue>, String> {
    let inputs = batch.tensors.iter().map(tensor_view).collect::<Result<Vec<_>, _>>();
    let inputs = inputs.map_err(|error| error.to_string())?;
    let outputs = match options {
        Some(options) => session.run_with_options(inputs, options),
        None => session.run(inputs),
    };
    let mut outputs = outputs.map_err(|error| error.to_string())?;
    output_names.iter().map(|name| run_output::take_output(&mut outputs, name)).collect()
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
fn declares_single_item(session: &Session) -> bool {
    session
        .inputs()
        .iter()
        .any(|input| input.dtype().tensor_shape().is_some_and(|shape| shape.first() == Some(&1)))
}

fn tensor_view(tensor: &NamedTensor) -> Result<(&str, SessionInputValue<'_>), ort::Error> {
    let view = TensorRef::from_array_view((tensor.shape.clone(), tensor.values.as_slice()))?;
    Ok((&tensor.name, view.into()))
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
