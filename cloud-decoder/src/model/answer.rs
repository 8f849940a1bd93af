//! What a run made, and each caller's share of it.

use std::sync::Arc;

use ort::value::Tensor;

/// What a run made. The values stay where ONNX Runtime has put them, because a picture is large.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) outputs: Vec<Tensor<f32>>,
    pub(super) items: usize,
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

/// The answers to single items as one of all.
pub(super) fn joined(answers: &[Answer]) -> Result<Answer, String> {
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
