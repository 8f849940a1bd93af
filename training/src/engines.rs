//! ONNX Runtime, as the cloud runs it, and tract, for checks and measurements.

use std::{ops::Range, path::Path, sync::Arc};

use lopside_decoder::{Device, Runtime};
use ort::{
    session::{Session, SessionInputValue},
    value::TensorRef,
};
use tract_onnx::prelude::{
    DatumType, Framework as _, InferenceFact, InferenceModelExt as _, IntoRunnable as _, TValue, TVec,
    Tensor as TractTensor, TractError, TypedRunnableModel,
};

use crate::{ModelError, TrainingError};

/// Loads ONNX Runtime for the CPU with one thread, so that sums do not depend on the machine's number of
/// cores.
pub(crate) fn load_cpu_runtime(library: &Path) -> Result<Runtime, TrainingError> {
    Ok(Runtime::load(library, Device::Cpu, 1)?)
}

/// The values of a tensor, row-major, and its dimensions, batch first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TensorValues {
    pub(crate) dims: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl TensorValues {
    /// Returns a range of items of the batch.
    pub(crate) fn rows(&self, range: Range<usize>) -> Self {
        let row_len = self.values.len() / self.dims[0].max(1);
        let dims = std::iter::once(range.len()).chain(self.dims[1..].iter().copied()).collect();
        Self { dims, values: self.values[range.start * row_len..range.end * row_len].to_vec() }
    }

    fn append(&mut self, other: Self) {
        self.dims[0] += other.dims[0];
        self.values.extend(other.values);
    }
}

/// Items per run over a whole data set.
const BATCH_ITEMS: usize = 1000;

/// A model in ONNX Runtime.
pub(crate) struct OrtModel {
    name: &'static str,
    session: Session,
}

impl OrtModel {
    pub(crate) fn new(runtime: &Runtime, name: &'static str, model: &[u8]) -> Result<Self, ModelError> {
        let session = runtime
            .session(model)
            .map_err(|reason| ModelError::Failed { model: format!("{name} in ONNX Runtime"), reason })?;
        Ok(Self { name, session })
    }

    /// Runs the model and returns all outputs; `inputs` are in the model's order.
    pub(crate) fn run_each(&mut self, inputs: &[TensorValues]) -> Result<Vec<TensorValues>, ModelError> {
        let model = self.name;
        let names: Vec<String> = self.session.inputs().iter().map(|input| input.name().to_owned()).collect();
        let mut named: Vec<(String, SessionInputValue<'_>)> = Vec::new();
        for (name, input) in names.into_iter().zip(inputs) {
            let tensor = TensorRef::from_array_view((input.dims.clone(), input.values.as_slice()));
            named.push((name, tensor.map_err(|error| ort_failed(model, &error))?.into()));
        }
        let outputs = self.session.run(named).map_err(|error| ort_failed(model, &error))?;
        let values = (0..outputs.len()).map(|index| {
            let (shape, values) =
                outputs[index].try_extract_tensor::<f32>().map_err(|error| ort_failed(model, &error))?;
            let dims = shape.iter().map(|&dim| dim as usize).collect();
            Ok(TensorValues { dims, values: values.to_vec() })
        });
        values.collect()
    }

    /// Like [`run_each`](Self::run_each), in batches of 1,000, for whole data sets.
    pub(crate) fn run_batches(&mut self, inputs: &[TensorValues]) -> Result<Vec<TensorValues>, ModelError> {
        let count = inputs.first().map_or(0, |input| input.dims[0]);
        let mut outputs: Vec<TensorValues> = Vec::new();
        for start in (0..count).step_by(BATCH_ITEMS) {
            let batch: Vec<TensorValues> =
                inputs.iter().map(|input| input.rows(start..(start + BATCH_ITEMS).min(count))).collect();
            for (index, batch_output) in self.run_each(&batch)?.into_iter().enumerate() {
                match outputs.get_mut(index) {
                    Some(output) => output.append(batch_output),
                    None => outputs.push(batch_output),
                }
            }
        }
        Ok(outputs)
    }

    /// Runs the model on `count` items and returns each output as concatenated rows. `layers` are the inputs
    /// in the model's order, each as concatenated rows. At most `batch` items run at a time, or one if the
    /// model's batch is fixed at 1.
    pub(crate) fn run_items(
        &mut self,
        layers: &[&[f32]],
        count: usize,
        batch: usize,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let dims = self.item_dims(layers, count)?;
        let batch = if self.has_fixed_batch() { 1 } else { batch.max(1) };
        let mut outputs: Vec<Vec<f32>> = Vec::new();
        for start in (0..count).step_by(batch) {
            let batch_len = batch.min(count - start);
            let inputs: Vec<TensorValues> = layers
                .iter()
                .zip(&dims)
                .map(|(layer, dims)| {
                    let item_len = layer.len() / count;
                    let values = layer[start * item_len..(start + batch_len) * item_len].to_vec();
                    TensorValues {
                        dims: std::iter::once(batch_len).chain(dims.iter().copied()).collect(),
                        values,
                    }
                })
                .collect();
            for (index, output) in self.run_each(&inputs)?.into_iter().enumerate() {
                match outputs.get_mut(index) {
                    Some(collected) => collected.extend(output.values),
                    None => outputs.push(output.values),
                }
            }
        }
        Ok(outputs)
    }

    /// Returns the dimensions of one item of each input as the model declares them, or a flat one if they are
    /// open.
    fn item_dims(&self, layers: &[&[f32]], count: usize) -> Result<Vec<Vec<usize>>, ModelError> {
        let inputs = self.session.inputs();
        if inputs.len() != layers.len() {
            return Err(ModelError::InputCount {
                model: self.name.to_owned(),
                inputs: inputs.len(),
                layers: layers.len(),
            });
        }
        let pairs = inputs.iter().zip(layers);
        Ok(pairs.map(|(input, layer)| declared_dims(input, layer.len() / count.max(1))).collect())
    }

    /// Returns whether the first dimension of an input is fixed at 1.
    fn has_fixed_batch(&self) -> bool {
        self.session
            .inputs()
            .iter()
            .any(|input| input.dtype().tensor_shape().and_then(|shape| shape.first().copied()) == Some(1))
    }
}

/// Returns the dimensions of one item of an input as the model declares them, or a flat one if they do not
/// have `count` values.
fn declared_dims(input: &ort::value::Outlet, count: usize) -> Vec<usize> {
    let shape = input.dtype().tensor_shape().and_then(|shape| shape.get(1..).map(<[i64]>::to_vec));
    let declared: Vec<usize> =
        shape.unwrap_or_default().iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
    if declared.iter().product::<usize>() == count && !declared.is_empty() { declared } else { vec![count] }
}

fn ort_failed(name: &str, error: &ort::Error) -> ModelError {
    ModelError::Failed { model: format!("{name} in ONNX Runtime"), reason: error.to_string() }
}

/// A model in tract, compiled for inputs of fixed dimensions.
pub(crate) struct TractModel {
    name: &'static str,
    plan: Arc<TypedRunnableModel>,
}

impl TractModel {
    /// Compiles a model for inputs of these dimensions, batch first.
    pub(crate) fn new(name: &'static str, model: &[u8], dims: &[Vec<usize>]) -> Result<Self, ModelError> {
        let plan = compile_plan(model, dims).map_err(|error| tract_failed(name, &error))?;
        Ok(Self { name, plan })
    }

    /// Runs the model and returns all outputs; `inputs` are in the model's order.
    pub(crate) fn run_each(&self, inputs: &[TensorValues]) -> Result<Vec<TensorValues>, ModelError> {
        self.run_plan(inputs).map_err(|error| tract_failed(self.name, &error))
    }

    fn run_plan(&self, inputs: &[TensorValues]) -> Result<Vec<TensorValues>, TractError> {
        let inputs =
            inputs.iter().map(|input| TractTensor::from_shape(&input.dims, &input.values).map(TValue::from));
        let outputs = self.plan.run(inputs.collect::<Result<TVec<_>, _>>()?)?;
        let values = outputs.iter().map(|output| {
            let values = output.to_plain_array_view::<f32>()?.iter().copied().collect();
            Ok(TensorValues { dims: output.shape().to_vec(), values })
        });
        values.collect()
    }
}

fn compile_plan(model: &[u8], dims: &[Vec<usize>]) -> Result<Arc<TypedRunnableModel>, TractError> {
    // The file's shapes have a symbolic batch, which would contradict the fixed one.
    let mut model = tract_onnx::onnx()
        .with_ignore_value_info(true)
        .with_ignore_output_shapes(true)
        .model_for_read(&mut &*model)?;
    for (index, dims) in dims.iter().enumerate() {
        model.set_input_fact(index, InferenceFact::dt_shape(DatumType::F32, dims))?;
    }
    model.into_optimized()?.into_runnable()
}

fn tract_failed(name: &str, error: &TractError) -> ModelError {
    ModelError::Failed { model: format!("{name} in tract"), reason: format!("{error:#}") }
}
