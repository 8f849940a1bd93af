use std::sync::Arc;

use tract_onnx::prelude::{
    DatumType, Framework as _, InferenceFact, InferenceModel, InferenceModelExt as _, IntoRunnable as _,
    TValue, TVec, Tensor, TractError, TypedRunnableModel, tvec,
};
use tract_onnx::tract_core::knobs::KnobScope;

use crate::EncodeError;

/// A model with one input, compiled by tract for one fixed input shape: twice as fast as with a symbolic
/// batch.
#[derive(Debug)]
pub struct ModelPlan {
    plan: Arc<TypedRunnableModel>,
    input_dims: Vec<usize>,
}

impl ModelPlan {
    /// Compiles an ONNX file for inputs of these dimensions, including the batch.
    ///
    /// # Errors
    /// [`EncodeError::Model`] if tract cannot run it.
    pub fn new(model: &[u8], input_dims: Vec<usize>) -> Result<Self, EncodeError> {
        Self::from_model(parse_model(model)?, input_dims)
    }

    /// Compiles an ONNX file with these outputs, in this order.
    ///
    /// # Errors
    /// [`EncodeError::Model`] if an output does not exist or tract cannot run the model.
    pub fn of_outputs(model: &[u8], input_dims: Vec<usize>, outputs: &[&str]) -> Result<Self, EncodeError> {
        let mut model = parse_model(model)?;
        model.select_outputs_by_name(outputs).map_err(|error| model_error(&error))?;
        Self::from_model(model, input_dims)
    }

    /// Compiles a model with one input.
    pub(crate) fn from_model(model: InferenceModel, input_dims: Vec<usize>) -> Result<Self, EncodeError> {
        let plan = compile(model, &input_dims).map_err(|error| model_error(&error))?;
        Ok(Self { plan, input_dims })
    }

    /// Runs the model on one input, and returns its outputs one after the other, all row-major.
    ///
    /// # Errors
    /// [`EncodeError::Model`] if the model fails or the number of values does not match the input.
    pub fn run(&self, input: &[f32]) -> Result<Vec<f32>, EncodeError> {
        self.compute_values(input).map_err(|error| model_error(&error))
    }

    /// Runs the model on an input that `fill` writes, row-major, directly into the model's input tensor.
    pub(crate) fn run_filled(&self, fill: impl FnOnce(&mut [f32])) -> Result<ModelOutputs, EncodeError> {
        self.compute_outputs(fill).map(ModelOutputs).map_err(|error| model_error(&error))
    }

    fn compute_values(&self, input: &[f32]) -> Result<Vec<f32>, TractError> {
        let outputs = self.plan.run(tvec!(Tensor::from_shape(&self.input_dims, input)?.into()))?;
        let mut values = Vec::new();
        for output in &outputs {
            values.extend(output.to_plain_array_view::<f32>()?.iter());
        }
        Ok(values)
    }

    fn compute_outputs(&self, fill: impl FnOnce(&mut [f32])) -> Result<TVec<TValue>, TractError> {
        let mut input = Tensor::zero::<f32>(&self.input_dims)?;
        fill(input.try_as_plain_ram_mut()?.as_slice_mut()?);
        self.plan.run(tvec!(input.into()))
    }
}

/// The outputs of a model.
#[derive(Debug)]
pub(crate) struct ModelOutputs(TVec<TValue>);

impl ModelOutputs {
    /// Returns the number of outputs.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the dimensions of output `number`.
    pub(crate) fn dims(&self, number: usize) -> &[usize] {
        self.0[number].shape()
    }

    /// Returns the values of output `number`, row-major.
    pub(crate) fn values(&self, number: usize) -> Result<&[f32], EncodeError> {
        self.plain_values(number).map_err(|error| model_error(&error))
    }

    fn plain_values(&self, number: usize) -> Result<&[f32], TractError> {
        self.0[number].try_as_plain_ram()?.as_slice()
    }
}

/// Parses an ONNX file and ignores the shapes in it: they have a symbolic batch, which would contradict a
/// fixed one.
pub(crate) fn parse_model(model: &[u8]) -> Result<InferenceModel, EncodeError> {
    tract_onnx::onnx()
        .with_ignore_value_info(true)
        .with_ignore_output_shapes(true)
        .model_for_read(&mut &*model)
        .map_err(|error| model_error(&error))
}

fn compile(model: InferenceModel, input_dims: &[usize]) -> Result<Arc<TypedRunnableModel>, TractError> {
    let model = model.with_input_fact(0, InferenceFact::dt_shape(DatumType::F32, input_dims))?;
    // tract's direct convolution, without a matrix product, takes ten times as long if the stride equals the
    // block size.
    KnobScope::new([("TRACT_DISABLE_DIRECT_SPATIAL", "true")])?
        .enter(|| model.into_optimized())?
        .into_runnable()
}

/// Converts an error of tract, with all its causes.
pub(crate) fn model_error(error: &TractError) -> EncodeError {
    EncodeError::Model(format!("{error:#}"))
}
