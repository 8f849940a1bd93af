//! Inference inputs of a model, of one request or joined to a batch.

use std::{borrow::Cow, sync::Arc};

/// An input tensor of 32-bit floats, row-major. The values are shared, because several heads read the same
/// latent.
#[derive(Debug, Clone)]
pub(crate) struct NamedTensor {
    /// The name of the input in the graph.
    pub(crate) name: String,
    /// The shape, batch dimension first.
    pub(crate) shape: Vec<usize>,
    /// The values.
    pub(crate) values: Arc<Vec<f32>>,
}

/// The inference input of one request. The first dimension of every input tensor is the batch size, which is
/// the same for all.
#[derive(Debug, Clone)]
pub(crate) struct InferenceInput {
    /// All input tensors of the model.
    pub(crate) inputs: Vec<NamedTensor>,
    /// Number of values of each output, over all items.
    pub(crate) output_lens: Vec<usize>,
}

impl NamedTensor {
    /// Returns the shape of one item; `None` if the tensor does not have a batch dimension.
    fn item_shape(&self) -> Option<&[usize]> {
        self.shape.get(1..)
    }

    /// Returns a tensor with the same name and shape per item, with these items.
    fn with_items(&self, items: usize, values: Vec<f32>) -> Self {
        let shape = std::iter::once(items).chain(self.shape.iter().skip(1).copied()).collect();
        Self { name: self.name.clone(), shape, values: Arc::new(values) }
    }
}

impl InferenceInput {
    /// Returns the number of items.
    pub(crate) fn items(&self) -> usize {
        self.inputs.first().and_then(|input| input.shape.first()).copied().unwrap_or(1)
    }

    /// Returns whether both inputs can be joined: their tensors have the same names and the same shapes per
    /// item.
    pub(crate) fn has_same_shape(&self, other: &Self) -> bool {
        self.inputs.len() == other.inputs.len()
            && self
                .inputs
                .iter()
                .zip(&other.inputs)
                .all(|(a, b)| a.name == b.name && a.item_shape() == b.item_shape())
    }

    /// Returns the size of all input and output tensors in bytes, at 4 bytes per value.
    pub(crate) fn size_bytes(&self) -> usize {
        let values =
            self.inputs.iter().map(|input| input.values.len()).chain(self.output_lens.iter().copied());
        values.sum::<usize>() * size_of::<f32>()
    }

    /// Returns the input with its items repeated.
    pub(super) fn repeated(&self, times: usize) -> Self {
        let inputs = self.inputs.iter().map(|input| {
            let items = times * input.shape.first().copied().unwrap_or(1);
            input.with_items(items, input.values.repeat(times))
        });
        Self {
            inputs: inputs.collect(),
            output_lens: self.output_lens.iter().map(|len| times * len).collect(),
        }
    }

    /// Returns the input with items of zeros appended, up to `items` items.
    pub(super) fn padded(&self, items: usize) -> Self {
        let own = self.items().max(1);
        let inputs = self.inputs.iter().map(|input| {
            let mut values = input.values.to_vec();
            values.resize(values.len() / own * items, 0.0);
            input.with_items(items, values)
        });
        Self {
            inputs: inputs.collect(),
            output_lens: self.output_lens.iter().map(|len| len / own * items).collect(),
        }
    }

    /// Returns one of `items` items.
    pub(super) fn single_item(&self, item: usize, items: usize) -> Self {
        let inputs = self.inputs.iter().map(|input| {
            let each = input.values.len() / items;
            input.with_items(1, input.values[item * each..(item + 1) * each].to_vec())
        });
        Self {
            inputs: inputs.collect(),
            output_lens: self.output_lens.iter().map(|len| len / items).collect(),
        }
    }

    /// Joins inputs of one shape; `None` for an empty list.
    pub(super) fn joined(questions: &[Self]) -> Option<Cow<'_, Self>> {
        let [first, rest @ ..] = questions else { return None };
        if rest.is_empty() {
            return Some(Cow::Borrowed(first));
        }
        let items = questions.iter().map(Self::items).sum();
        let inputs = first.inputs.iter().enumerate().map(|(number, input)| {
            let parts: Vec<&[f32]> =
                questions.iter().map(|question| question.inputs[number].values.as_slice()).collect();
            input.with_items(items, parts.concat())
        });
        let output_lens = (0..first.output_lens.len())
            .map(|number| questions.iter().map(|question| question.output_lens[number]).sum());
        Some(Cow::Owned(Self { inputs: inputs.collect(), output_lens: output_lens.collect() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(items: usize, first: f32) -> InferenceInput {
        let values = (0..2 * items).map(|number| first + number as f32).collect();
        let input = NamedTensor { name: "z".into(), shape: vec![items, 2], values: Arc::new(values) };
        InferenceInput { inputs: vec![input], output_lens: vec![3 * items] }
    }

    #[test]
    fn questions_join_repeat_and_are_padded_item_by_item() {
        let (one, two) = (question(1, 0.0), question(2, 10.0));
        let both = [one.clone(), two];
        let joined = InferenceInput::joined(&both).unwrap();
        assert_eq!(*joined.inputs[0].values, [0.0, 1.0, 10.0, 11.0, 12.0, 13.0]);
        assert_eq!((joined.items(), &joined.output_lens[..], joined.size_bytes()), (3, &[9][..], 60));
        assert_eq!(*joined.single_item(1, 3).inputs[0].values, [10.0, 11.0]);
        let padded = joined.padded(4);
        assert_eq!((&padded.inputs[0].shape[..], &padded.output_lens[..]), (&[4, 2][..], &[12][..]));
        assert_eq!(padded.inputs[0].values[4..], [12.0, 13.0, 0.0, 0.0]);
        assert_eq!(*one.repeated(2).inputs[0].values, [0.0, 1.0, 0.0, 1.0]);
        assert!(InferenceInput::joined(&[]).is_none());
    }
}
