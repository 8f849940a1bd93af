//! Inference inputs of a model, of one request or joined to a batch.

use std::{borrow::Cow, sync::Arc};

use super::run_handle::RunHandle;

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
    pub(crate) tensors: Vec<NamedTensor>,
    /// Number of values of each output, over all items.
    pub(crate) output_lens: Vec<usize>,
    /// Cancels the run if this is its only inference input; `None` for a run that always ends by itself.
    pub(crate) run_handle: Option<RunHandle>,
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
    /// Creates the inference input of a run that cannot be cancelled.
    pub(crate) fn new(tensors: Vec<NamedTensor>, output_lens: Vec<usize>) -> Self {
        Self { tensors, output_lens, run_handle: None }
    }

    /// Returns whether the run of this inference input was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.run_handle.as_ref().is_some_and(RunHandle::is_cancelled)
    }

    /// Returns the number of items.
    pub(crate) fn items(&self) -> usize {
        self.tensors.first().and_then(|tensor| tensor.shape.first()).copied().unwrap_or(1)
    }

    /// Returns whether both inputs can be joined: their tensors have the same names and the same shapes per
    /// item.
    pub(crate) fn has_same_shape(&self, other: &Self) -> bool {
        self.tensors.len() == other.tensors.len()
            && self
                .tensors
                .iter()
                .zip(&other.tensors)
                .all(|(a, b)| a.name == b.name && a.item_shape() == b.item_shape())
    }

    /// Returns the size of all input and output tensors in bytes, at 4 bytes per value.
    pub(crate) fn size_bytes(&self) -> usize {
        let inputs = self.tensors.iter().map(|tensor| tensor.values.len());
        inputs.chain(self.output_lens.iter().copied()).sum::<usize>() * size_of::<f32>()
    }

    /// Returns the input with its items repeated.
    pub(super) fn repeated(&self, times: usize) -> Self {
        let tensors = self.tensors.iter().map(|tensor| {
            let items = times * tensor.shape.first().copied().unwrap_or(1);
            tensor.with_items(items, tensor.values.repeat(times))
        });
        Self::new(tensors.collect(), self.output_lens.iter().map(|len| times * len).collect())
    }

    /// Returns one of `items` items.
    pub(super) fn single_item(&self, item: usize, items: usize) -> Self {
        let tensors = self.tensors.iter().map(|tensor| {
            let each = tensor.values.len() / items;
            tensor.with_items(1, tensor.values[item * each..(item + 1) * each].to_vec())
        });
        Self::new(tensors.collect(), self.output_lens.iter().map(|len| len / items).collect())
    }

    /// Joins inputs of one shape to a batch of `items` items, at least as many as the inputs have; further
    /// items are zeros. A single input without further items is not copied. Returns `None` for an empty list.
    pub(super) fn joined(inputs: &[Self], items: usize) -> Option<Cow<'_, Self>> {
        let (first, rest) = inputs.split_first()?;
        if rest.is_empty() && first.items() == items {
            return Some(Cow::Borrowed(first));
        }
        let first_items = first.items().max(1);
        let tensors = first.tensors.iter().enumerate().map(|(number, tensor)| {
            let len = tensor.values.len() / first_items * items;
            let mut values = Vec::with_capacity(len);
            for input in inputs {
                values.extend_from_slice(&input.tensors[number].values);
            }
            values.resize(len, 0.0);
            tensor.with_items(items, values)
        });
        let output_lens = first.output_lens.iter().map(|len| len / first_items * items);
        Some(Cow::Owned(Self::new(tensors.collect(), output_lens.collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(items: usize, first: f32) -> InferenceInput {
        let values = (0..2 * items).map(|number| first + number as f32).collect();
        let tensor = NamedTensor { name: "z".into(), shape: vec![items, 2], values: Arc::new(values) };
        InferenceInput::new(vec![tensor], vec![3 * items])
    }

    #[test]
    fn inputs_are_joined_repeated_and_padded_item_by_item() {
        let inputs = [input(1, 0.0), input(2, 10.0)];
        let joined = InferenceInput::joined(&inputs, 3).unwrap();
        assert_eq!(*joined.tensors[0].values, [0.0, 1.0, 10.0, 11.0, 12.0, 13.0]);
        assert_eq!((joined.items(), &joined.output_lens[..], joined.size_bytes()), (3, &[9][..], 60));
        assert_eq!(*joined.single_item(1, 3).tensors[0].values, [10.0, 11.0]);
        let padded = InferenceInput::joined(&inputs, 4).unwrap();
        assert_eq!((&padded.tensors[0].shape[..], &padded.output_lens[..]), (&[4, 2][..], &[12][..]));
        assert_eq!(padded.tensors[0].values[4..], [12.0, 13.0, 0.0, 0.0]);
        assert_eq!(*inputs[0].repeated(2).tensors[0].values, [0.0, 1.0, 0.0, 1.0]);
        assert!(InferenceInput::joined(&[], 0).is_none());
    }

    #[test]
    fn a_single_input_is_copied_only_to_be_padded() {
        let single = [input(3, 0.0)];
        assert!(matches!(InferenceInput::joined(&single, 3), Some(Cow::Borrowed(_))));
        let padded = InferenceInput::joined(&single, 4).unwrap();
        assert_eq!(*padded.tensors[0].values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0]);
    }
}
