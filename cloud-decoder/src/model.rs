//! A head's model in ONNX Runtime: tensors in and out by name.
//!
//! All items of the questions of a run are one batch. A model that declares the first dimension of an input as 1 takes one item
//! at a time, whatever its manifest says: its items run one after the other, and the answer is put together.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use lopside_bundle::LATENT_SPACE_KEY;
use ort::{
    session::{Session, SessionInputValue},
    value::{Tensor, TensorRef},
};

use crate::{
    Runtime,
    batch::{sizing, stats::RunTimes},
};

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

/// What one caller asks a model. The first dimension of every input is the batch, and the same.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// All inputs of the model.
    pub(crate) inputs: Vec<Input>,
    /// Values of each output, over all items.
    pub(crate) output_lens: Vec<usize>,
}

impl Question {
    /// Items of the batch.
    pub(crate) fn items(&self) -> usize {
        self.inputs.first().and_then(|input| input.shape.first()).copied().unwrap_or(1)
    }

    /// Whether both could be one question of more items.
    pub(crate) fn same_shape(&self, other: &Self) -> bool {
        let item = |input: &Input| input.shape.get(1..).map(<[usize]>::to_vec);
        self.inputs.len() == other.inputs.len()
            && self.inputs.iter().zip(&other.inputs).all(|(a, b)| a.name == b.name && item(a) == item(b))
    }

    /// Bytes of all tensors, of 4 bytes a value.
    pub(crate) fn bytes(&self) -> usize {
        let values =
            self.inputs.iter().map(|input| input.values.len()).chain(self.output_lens.iter().copied());
        values.sum::<usize>() * size_of::<f32>()
    }

    /// The same so many times.
    fn repeated(&self, times: usize) -> Self {
        let input = |input: &Input| {
            let items = times * input.shape.first().copied().unwrap_or(1);
            let shape = std::iter::once(items).chain(input.shape.iter().skip(1).copied()).collect();
            Input { name: input.name.clone(), shape, values: Arc::new(input.values.repeat(times)) }
        };
        Self {
            inputs: self.inputs.iter().map(input).collect(),
            output_lens: self.output_lens.iter().map(|len| times * len).collect(),
        }
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

    /// Questions of one shape as one.
    fn joined(questions: &[Self]) -> Option<Cow<'_, Self>> {
        let [first, rest @ ..] = questions else { return None };
        if rest.is_empty() {
            return Some(Cow::Borrowed(first));
        }
        let items = questions.iter().map(Self::items).sum();
        let input = |(number, input): (usize, &Input)| {
            let parts: Vec<&[f32]> =
                questions.iter().map(|question| question.inputs[number].values.as_slice()).collect();
            let shape = std::iter::once(items).chain(input.shape.iter().skip(1).copied()).collect();
            Input { name: input.name.clone(), shape, values: Arc::new(parts.concat()) }
        };
        let output_len = |number: usize| questions.iter().map(|question| question.output_lens[number]).sum();
        Some(Cow::Owned(Self {
            inputs: first.inputs.iter().enumerate().map(input).collect(),
            output_lens: (0..first.output_lens.len()).map(output_len).collect(),
        }))
    }
}

/// What a run made. The values stay where ONNX Runtime has put them, because a picture is large.
#[derive(Debug)]
pub(crate) struct Answer {
    outputs: Vec<Tensor<f32>>,
    items: usize,
}

/// One caller's items of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    answer: Arc<Answer>,
    first: usize,
    items: usize,
}

impl Share {
    /// So many items of an answer.
    pub(crate) fn new(answer: Arc<Answer>, first: usize, items: usize) -> Self {
        Self { answer, first, items }
    }

    /// All of an answer.
    pub(crate) fn all(answer: Answer) -> Self {
        let items = answer.items;
        Self::new(Arc::new(answer), 0, items)
    }

    /// Its items.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// The values of the first output, row-major.
    pub(crate) fn values(&self) -> &[f32] {
        self.output(0)
    }

    /// The values of an output, row-major; none when there is no output of this number.
    pub(crate) fn output(&self, number: usize) -> &[f32] {
        let Some(output) = self.answer.outputs.get(number) else { return &[] };
        let values = output.extract_tensor().1;
        let each = values.len() / self.answer.items.max(1);
        values.get(self.first * each..(self.first + self.items) * each).unwrap_or_default()
    }

    /// The values of an output of one item.
    pub(crate) fn item(&self, number: usize, item: usize) -> &[f32] {
        let values = self.output(number);
        let each = values.len() / self.items.max(1);
        values.get(item * each..(item + 1) * each).unwrap_or_default()
    }
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
    on_cpu: bool,
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
        let (outputs, on_cpu) = (io.outputs.clone(), !runtime.has_cuda());
        let mut model = Self { session, outputs, one_by_one, pace: Duration::ZERO, worthwhile: 1, on_cpu };
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
        self.on_cpu
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
            let answer = joined(&answers)?;
            let times = RunTimes { input: joined_at - start, infer: ran - joined_at, output: ran.elapsed() };
            return Ok((answer, times));
        }
        let (answer, ran) = self.batch(&question)?;
        Ok((answer, RunTimes { input: joined_at - start, infer: ran - joined_at, output: ran.elapsed() }))
    }

    /// One run, and when the model was done.
    fn batch(&mut self, question: &Question) -> Result<(Answer, Instant), String> {
        let text = |error: ort::Error| error.to_string();
        let inputs = question.inputs.iter().map(view).collect::<Result<Vec<_>, _>>().map_err(text)?;
        let mut outputs = self.session.run(inputs).map_err(text)?;
        let ran = Instant::now();
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
        let outputs: Vec<_> =
            self.outputs.iter().zip(&question.output_lens).map(take).collect::<Result<_, _>>()?;
        Ok((Answer { outputs, items: question.items() }, ran))
    }
}

/// Whether an input's first dimension is 1 by the model's own word.
fn takes_one(session: &Session) -> bool {
    let first = |outlet: &ort::value::Outlet| outlet.dtype().tensor_shape()?.first().copied();
    session.inputs().iter().any(|input| first(input) == Some(1))
}

/// The answers to single items as one of all.
fn joined(answers: &[Answer]) -> Result<Answer, String> {
    let outputs = answers.first().map_or(0, |answer| answer.outputs.len());
    let join = |number: usize| {
        let parts: Vec<&[f32]> =
            answers.iter().map(|answer| answer.outputs[number].extract_tensor().1).collect();
        let values = parts.concat();
        Tensor::from_array(([values.len()], values)).map_err(|error| error.to_string())
    };
    let outputs = (0..outputs).map(join).collect::<Result<_, _>>()?;
    Ok(Answer { outputs, items: answers.len() })
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
