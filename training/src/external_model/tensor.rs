use lopside_bundle::TensorSpec;

use crate::{ExternalModelError, bundle::batched_tensor_of};

/// A tensor of 32-bit floats: its name and its dimensions without the batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedTensor {
    pub(super) name: String,
    pub(super) dims: Vec<u32>,
}

impl NamedTensor {
    /// Creates the tensor from dimensions that begin with a batch of 1.
    ///
    /// # Errors
    /// [`ExternalModelError::UnbatchedTensor`] when they do not.
    pub(super) fn new(name: &str, dims: &[i64]) -> Result<Self, ExternalModelError> {
        let item = dims.split_first().filter(|(batch, _)| **batch == 1).and_then(|(_, item)| {
            item.iter().map(|&dim| u32::try_from(dim).ok().filter(|&dim| dim > 0)).collect::<Option<Vec<_>>>()
        });
        item.map(|dims| Self { name: name.to_owned(), dims }).ok_or_else(|| {
            ExternalModelError::UnbatchedTensor { tensor: name.to_owned(), dims: dims.to_vec() }
        })
    }

    /// Returns the number of values per item.
    pub(super) fn values(&self) -> usize {
        self.dims.iter().map(|&dim| dim as usize).product()
    }

    /// Returns the tensor's entry in a manifest.
    pub(super) fn tensor_spec(&self) -> TensorSpec {
        batched_tensor_of(&self.name, self.dims.iter().copied())
    }

    /// Returns the dimensions in an ONNX graph, with this batch.
    pub(super) fn onnx_dims(&self, batch: lopside_onnx::Dim) -> Vec<lopside_onnx::Dim> {
        let dims = self.dims.iter().map(|&dim| lopside_onnx::Dim::Fixed(dim.into()));
        std::iter::once(batch).chain(dims).collect()
    }

    /// Formats the dimensions for people.
    pub(super) fn text(&self) -> String {
        self.dims.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    }
}
