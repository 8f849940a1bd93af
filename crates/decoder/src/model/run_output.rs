//! The outputs of a run, and the batch slice of each job.

use std::{sync::Arc, time::Duration};

use ort::{
    session::SessionOutputs,
    value::{DynValue, Tensor},
};

/// The outputs of one run. The values stay in the memory of ONNX Runtime, because an image is large.
#[derive(Debug)]
pub(crate) struct RunOutput {
    pub(super) outputs: Vec<Tensor<f32>>,
    pub(super) items: usize,
    /// Time that the model took.
    pub(super) infer_time: Duration,
}

/// The items of a run's outputs that belong to one job.
#[derive(Debug, Clone)]
pub struct BatchSlice {
    output: Arc<RunOutput>,
    first: usize,
    items: usize,
}

impl BatchSlice {
    /// Creates a slice of `items` items, starting with item `first`.
    pub(crate) fn new(output: Arc<RunOutput>, first: usize, items: usize) -> Self {
        Self { output, first, items }
    }

    /// Creates a slice of all items.
    pub(crate) fn all(output: RunOutput) -> Self {
        let items = output.items;
        Self::new(Arc::new(output), 0, items)
    }

    /// Returns the number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// Returns the share of these items in the time that the model took for the run.
    pub(crate) fn infer_time(&self) -> Duration {
        self.output.infer_time.mul_f64(self.items as f64 / self.output.items.max(1) as f64)
    }

    /// Returns the values of the first output, row-major.
    #[must_use]
    pub fn first_output(&self) -> &[f32] {
        self.output_values(0)
    }

    /// Returns the values of one output, row-major; empty if there is no output with this number.
    #[must_use]
    pub fn output_values(&self, number: usize) -> &[f32] {
        let Some(output) = self.output.outputs.get(number) else { return &[] };
        let values = output.extract_tensor().1;
        let each = values.len() / self.output.items.max(1);
        values.get(self.first * each..(self.first + self.items) * each).unwrap_or_default()
    }

    /// Returns the values of one item in one output.
    #[must_use]
    pub fn item_values(&self, number: usize, item: usize) -> &[f32] {
        let values = self.output_values(number);
        let each = values.len() / self.items.max(1);
        values.get(item * each..(item + 1) * each).unwrap_or_default()
    }
}

/// Joins the outputs of single items to the outputs of one batch.
pub(super) fn join_outputs(items: &[RunOutput]) -> Result<RunOutput, String> {
    let count = items.first().map_or(0, |item| item.outputs.len());
    let outputs = (0..count).map(|number| {
        let parts: Vec<&[f32]> = items.iter().map(|item| item.outputs[number].extract_tensor().1).collect();
        let values = parts.concat();
        Tensor::from_array(([values.len()], values)).map_err(|error| error.to_string())
    });
    let outputs = outputs.collect::<Result<_, _>>()?;
    let infer_time = items.iter().map(|item| item.infer_time).sum();
    Ok(RunOutput { outputs, items: items.len(), infer_time })
}

/// Removes the output with this name from the outputs of a run.
pub(super) fn take_output(outputs: &mut SessionOutputs<'_>, name: &str) -> Result<DynValue, String> {
    outputs.remove(name).ok_or_else(|| format!("the output {name:?} is missing"))
}
