//! A batch of samples, and its values as tensors.

use burn::tensor::{Device, Tensor, TensorData};

/// The samples of one step.
pub(crate) struct TrainingBatch {
    /// Encoder inputs, rows one after the other.
    pub(crate) input: Vec<f32>,
    /// Target outputs of the decoder, rows one after the other.
    pub(crate) target: Vec<f32>,
    /// Classes of the samples; `None` if unknown.
    pub(crate) labels: Vec<Option<u8>>,
}

/// Converts values to rows `[n, values]`.
pub(crate) fn to_rows(values: &[f32], n: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [n, values.len() / n.max(1)]), device)
}
