//! What callers ask a model, alone or together.

use std::{borrow::Cow, sync::Arc};

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
    pub(super) fn repeated(&self, times: usize) -> Self {
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

    /// The same with items of zeros after it, so that there are so many.
    pub(super) fn padded(&self, items: usize) -> Self {
        let own = self.items().max(1);
        let input = |input: &Input| {
            let mut values = input.values.to_vec();
            values.resize(values.len() / own * items, 0.0);
            let shape = std::iter::once(items).chain(input.shape.iter().skip(1).copied()).collect();
            Input { name: input.name.clone(), shape, values: Arc::new(values) }
        };
        Self {
            inputs: self.inputs.iter().map(input).collect(),
            output_lens: self.output_lens.iter().map(|len| len / own * items).collect(),
        }
    }

    /// One of so many items.
    pub(super) fn item(&self, item: usize, items: usize) -> Self {
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
    pub(super) fn joined(questions: &[Self]) -> Option<Cow<'_, Self>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn question(items: usize, first: f32) -> Question {
        let values = (0..2 * items).map(|number| first + number as f32).collect();
        let input = Input { name: "z".into(), shape: vec![items, 2], values: Arc::new(values) };
        Question { inputs: vec![input], output_lens: vec![3 * items] }
    }

    #[test]
    fn questions_join_repeat_and_are_padded_item_by_item() {
        let (one, two) = (question(1, 0.0), question(2, 10.0));
        let both = [one.clone(), two];
        let joined = Question::joined(&both).unwrap();
        assert_eq!(*joined.inputs[0].values, [0.0, 1.0, 10.0, 11.0, 12.0, 13.0]);
        assert_eq!((joined.items(), &joined.output_lens[..], joined.bytes()), (3, &[9][..], 60));
        assert_eq!(*joined.item(1, 3).inputs[0].values, [10.0, 11.0]);
        let padded = joined.padded(4);
        assert_eq!((&padded.inputs[0].shape[..], &padded.output_lens[..]), (&[4, 2][..], &[12][..]));
        assert_eq!(padded.inputs[0].values[4..], [12.0, 13.0, 0.0, 0.0]);
        assert_eq!(*one.repeated(2).inputs[0].values, [0.0, 1.0, 0.0, 1.0]);
        assert!(Question::joined(&[]).is_none());
    }
}
