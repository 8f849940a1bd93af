//! A head's model in ONNX Runtime: tensors in and out by name.
//!
//! All items of a question run as one batch. A model that declares the first dimension of an input as 1 takes one item
//! at a time, whatever its manifest says: its items run one after the other, and the answer is put together.

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
    /// The outputs.
    pub(crate) outputs: Vec<String>,
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
    /// Values of each output, over the whole batch.
    pub(crate) output_lens: Vec<usize>,
}

impl Question {
    /// Items of the batch.
    fn items(&self) -> usize {
        self.inputs.first().and_then(|input| input.shape.first()).copied().unwrap_or(1)
    }

    /// One of so many items.
    fn item(&self, item: usize, items: usize) -> Self {
        let input = |input: &Input| {
            let each = input.values.len() / items;
            let values = Arc::new(input.values[item * each..(item + 1) * each].to_vec());
            let shape = std::iter::once(1).chain(input.shape.iter().skip(1).copied()).collect();
            Input { name: input.name.clone(), shape, values }
        };
        Self {
            inputs: self.inputs.iter().map(input).collect(),
            output_lens: self.output_lens.iter().map(|len| len / items).collect(),
        }
    }
}

/// What a run made. The values stay where ONNX Runtime has put them, because a picture is large.
#[derive(Debug)]
pub(crate) struct Answer(Vec<Tensor<f32>>);

impl Answer {
    /// The values of the first output, row-major.
    pub(crate) fn values(&self) -> &[f32] {
        self.output(0).unwrap_or_default()
    }

    /// The values of an output, row-major, when there is one of this number.
    pub(crate) fn output(&self, number: usize) -> Option<&[f32]> {
        self.0.get(number).map(|output| output.extract_tensor().1)
    }
}

/// A model that is loaded and has proved its shapes.
#[derive(Debug)]
pub(crate) struct Model {
    session: Session,
    outputs: Vec<String>,
    /// Whether it takes a single item a run.
    one_by_one: bool,
}

impl Model {
    /// Loads a model and runs it once: that moves the cost of warming up away from the first client.
    ///
    /// # Errors
    /// Why the model cannot be what its manifest says.
    pub(crate) fn load(runtime: &Runtime, model: &[u8], io: &Io, warm_up: &Question) -> Result<Self, String> {
        let session = runtime.session(model)?;
        check(&session, io)?;
        let one_by_one = takes_one(&session);
        let mut model = Self { session, outputs: io.outputs.clone(), one_by_one };
        model.run(warm_up)?;
        Ok(model)
    }

    /// What the model makes of a question.
    ///
    /// # Errors
    /// What ONNX Runtime says, or that an output is not of the expected size.
    pub(crate) fn run(&mut self, question: &Question) -> Result<Answer, String> {
        let items = question.items();
        if self.one_by_one && items > 1 {
            let answers = (0..items).map(|item| self.batch(&question.item(item, items)));
            return joined(&answers.collect::<Result<Vec<_>, _>>()?);
        }
        self.batch(question)
    }

    /// One run.
    fn batch(&mut self, question: &Question) -> Result<Answer, String> {
        let text = |error: ort::Error| error.to_string();
        let inputs = question.inputs.iter().map(view).collect::<Result<Vec<_>, _>>().map_err(text)?;
        let mut outputs = self.session.run(inputs).map_err(text)?;
        let take = |(name, &expected): (&String, &usize)| {
            let output = outputs.remove(name).ok_or_else(|| format!("the output {name:?} is missing"))?;
            let output: Tensor<f32> = output.downcast().map_err(text)?;
            let found = output.try_extract_tensor::<f32>().map_err(text)?.1.len();
            if found == expected {
                Ok(output)
            } else {
                Err(format!("the head made {found} values of {name:?} instead of {expected}"))
            }
        };
        self.outputs.iter().zip(&question.output_lens).map(take).collect::<Result<_, _>>().map(Answer)
    }
}

/// Whether an input's first dimension is 1 by the model's own word.
fn takes_one(session: &Session) -> bool {
    let first = |outlet: &ort::value::Outlet| outlet.dtype().tensor_shape()?.first().copied();
    session.inputs().iter().any(|input| first(input) == Some(1))
}

/// The answers to single items as one of all.
fn joined(answers: &[Answer]) -> Result<Answer, String> {
    let outputs = answers.first().map_or(0, |answer| answer.0.len());
    let join = |number: usize| {
        let values: Vec<f32> =
            answers.iter().flat_map(|answer| answer.output(number).unwrap_or_default()).copied().collect();
        Tensor::from_array(([values.len()], values)).map_err(|error| error.to_string())
    };
    (0..outputs).map(join).collect::<Result<_, _>>().map(Answer)
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
