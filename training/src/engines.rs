//! ONNX Runtime as the cloud runs it, for checks and measurements. tract is run through the edge's own
//! [`Plan`](edge_encoder::Plan).

use std::path::Path;

use cloud_decoder::{Device, Runtime};
use ort::{session::Session, value::TensorRef};

use crate::TrainingError;

/// ONNX Runtime on the CPU. One thread, so that its sums do not depend on the machine's cores.
pub(crate) fn runtime(library: &Path) -> Result<Runtime, TrainingError> {
    Ok(Runtime::load(library, Device::Cpu, 1)?)
}

/// A model of one input and one output in ONNX Runtime.
pub(crate) struct OrtModel {
    name: &'static str,
    session: Session,
}

impl OrtModel {
    pub(crate) fn new(runtime: &Runtime, name: &'static str, model: &[u8]) -> Result<Self, TrainingError> {
        let session = runtime
            .session(model)
            .map_err(|reason| TrainingError::Model { model: format!("{name} in ONNX Runtime"), reason })?;
        Ok(Self { name, session })
    }

    /// The outputs of `n` inputs, one after the other.
    pub(crate) fn run(&mut self, input: &[f32], n: usize) -> Result<Vec<f32>, TrainingError> {
        let name = self.name;
        let failed = |error: ort::Error| TrainingError::Model {
            model: format!("{name} in ONNX Runtime"),
            reason: error.to_string(),
        };
        let tensor = TensorRef::from_array_view(([n, input.len() / n], input)).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![tensor]).map_err(failed)?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
        Ok(values.to_vec())
    }

    /// [`run`](Self::run) in batches of 1,000, for whole data sets.
    pub(crate) fn run_all(&mut self, input: &[f32], n: usize) -> Result<Vec<f32>, TrainingError> {
        let each = input.len() / n;
        let mut outputs = Vec::new();
        for batch in input.chunks(1000 * each) {
            outputs.extend(self.run(batch, batch.len() / each)?);
        }
        Ok(outputs)
    }
}
