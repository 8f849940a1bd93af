//! A head's model in ONNX Runtime: tensors in by name, one tensor out.

use std::sync::Arc;

use lopside_bundle::LATENT_SPACE_KEY;
use ort::{
    session::{Session, SessionInputValue},
    value::{Tensor, TensorRef},
};

use crate::Runtime;

/// What a model reads and writes, by name.
#[derive(Debug, Clone)]
pub(crate) struct Io {
    /// The inputs.
    pub(crate) inputs: Vec<String>,
    /// The output.
    pub(crate) output: String,
    /// The latent space it reads; a model that names another one in its metadata is refused.
    pub(crate) latent_space: String,
}

/// An input of 32-bit floats, row-major. The values are shared: several heads read the same latent.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// Its name in the graph.
    pub(crate) name: String,
    /// Its shape, the batch first.
    pub(crate) shape: Vec<usize>,
    /// Its values.
    pub(crate) values: Arc<Vec<f32>>,
}

/// What one run of a model needs.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// All inputs of the model.
    pub(crate) inputs: Vec<Input>,
    /// Values of the output, over the whole batch.
    pub(crate) output_len: usize,
}

/// What a run made. The values stay where ONNX Runtime has put them, because a picture is large.
#[derive(Debug)]
pub(crate) struct Answer(Tensor<f32>);

impl Answer {
    /// The values, row-major.
    pub(crate) fn values(&self) -> &[f32] {
        self.0.extract_tensor().1
    }
}

/// A model that is loaded and has proved its shapes.
#[derive(Debug)]
pub(crate) struct Model {
    session: Session,
    output: String,
}

impl Model {
    /// Loads a model and runs it once: that moves the cost of warming up away from the first client.
    ///
    /// # Errors
    /// Why the model cannot be what its manifest says.
    pub(crate) fn load(runtime: &Runtime, model: &[u8], io: &Io, warm_up: &Question) -> Result<Self, String> {
        let session = runtime.session(model)?;
        check(&session, io)?;
        let mut model = Self { session, output: io.output.clone() };
        model.run(warm_up)?;
        Ok(model)
    }

    /// One run.
    ///
    /// # Errors
    /// What ONNX Runtime says, or that the output is not of the expected size.
    pub(crate) fn run(&mut self, question: &Question) -> Result<Answer, String> {
        let text = |error: ort::Error| error.to_string();
        let inputs = question.inputs.iter().map(view).collect::<Result<Vec<_>, _>>().map_err(text)?;
        let mut outputs = self.session.run(inputs).map_err(text)?;
        let output = outputs.remove(&self.output).ok_or("the output is missing")?;
        let output: Tensor<f32> = output.downcast().map_err(text)?;
        let (_, values) = output.try_extract_tensor::<f32>().map_err(text)?;
        let (found, expected) = (values.len(), question.output_len);
        if found == expected {
            Ok(Answer(output))
        } else {
            Err(format!("the head made {found} values instead of {expected}"))
        }
    }
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
