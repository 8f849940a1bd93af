//! Runs with tensors in memory that a GPU reads and writes directly: inputs are written there once, and
//! outputs are read from there without a copy.
//!
//! Such memory is "pinned": the system does not move it, so that the GPU can copy while the CPU does other
//! work.

use ort::{
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::{IoBinding, RunOptions, Session},
    value::{DynValue, Tensor},
};

use super::{inference_input::InferenceInput, run_output::take_output};

/// The memory of the tensors of a session's runs.
#[derive(Debug)]
pub(crate) struct PinnedMemory {
    inputs: Allocator,
    outputs: MemoryInfo<'static>,
}

impl PinnedMemory {
    /// Uses memory that is pinned for a CUDA device.
    ///
    /// # Errors
    /// The error of ONNX Runtime.
    pub(super) fn for_device(session: &Session, device: i32) -> Result<Self, ort::Error> {
        Self::at(session, &AllocationDevice::CUDA_PINNED, device)
    }

    fn at(session: &Session, at: &AllocationDevice<'_>, device: i32) -> Result<Self, ort::Error> {
        let inputs = MemoryInfo::new(at.clone(), device, AllocatorType::Device, MemoryType::CPUInput)?;
        let inputs = Allocator::new(session, inputs)?;
        let outputs = MemoryInfo::new(at.clone(), device, AllocatorType::Device, MemoryType::CPUOutput)?;
        Ok(Self { inputs, outputs })
    }

    /// Runs the model once and returns the outputs with these names. `options` can end the run early.
    ///
    /// # Errors
    /// The error of ONNX Runtime, or the name of a missing output.
    pub(super) fn run(
        &self,
        session: &mut Session,
        batch: &InferenceInput,
        output_names: &[String],
        options: Option<&RunOptions>,
    ) -> Result<Vec<DynValue>, String> {
        // A new binding per run: a binding owns the outputs of its last run, which callers still read.
        let binding = self.bind_tensors(session, batch, output_names).map_err(|error| error.to_string())?;
        let outputs = match options {
            Some(options) => session.run_binding_with_options(&binding, options),
            None => session.run_binding(&binding),
        };
        let mut outputs = outputs.map_err(|error| error.to_string())?;
        let values =
            output_names.iter().map(|name| take_output(&mut outputs, name)).collect::<Result<_, _>>()?;
        drop(outputs);
        binding.synchronize_outputs().map_err(|error| error.to_string())?;
        Ok(values)
    }

    /// Creates a binding of a session with the values of all inputs and memory for the outputs.
    fn bind_tensors(
        &self,
        session: &Session,
        batch: &InferenceInput,
        output_names: &[String],
    ) -> Result<IoBinding, ort::Error> {
        let mut binding = session.create_binding()?;
        for tensor in &batch.tensors {
            let mut pinned = Tensor::<f32>::new(&self.inputs, tensor.shape.as_slice())?;
            pinned.try_extract_tensor_mut::<f32>()?.1.copy_from_slice(&tensor.values);
            binding.bind_input(&tensor.name, &pinned)?;
        }
        for name in output_names {
            binding.bind_output_to_device(name, &self.outputs)?;
        }
        binding.synchronize_inputs()?;
        Ok(binding)
    }
}

#[cfg(test)]
mod tests {
    use std::{env, sync::Arc};

    use lopside_onnx::{GraphBuilder, encode_model};

    use super::*;
    use crate::{Device, Runtime, model::inference_input::NamedTensor};

    /// Takes the same code path in CPU memory, which every machine has.
    #[test]
    fn pinned_runs_produce_the_same_values_and_keep_earlier_outputs() {
        let library =
            env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`");
        let runtime = Runtime::load(library.as_ref(), Device::Cpu, 1).unwrap();
        let mut graph = GraphBuilder::new("double");
        let x = graph.add_input("x", &["n".into(), 2.into()]);
        graph.add_node("Add", &[&x, &x], "y", &[]);
        graph.add_output("y", &["n".into(), 2.into()]);
        let mut session = runtime.session(&encode_model(&graph.build())).unwrap();
        let pinned = PinnedMemory::at(&session, &AllocationDevice::CPU, 0).unwrap();
        let mut run = |values: Vec<f32>| {
            let tensor =
                NamedTensor { name: "x".into(), shape: vec![values.len() / 2, 2], values: Arc::new(values) };
            let input = InferenceInput::new(vec![tensor], Vec::new());
            pinned.run(&mut session, &input, &["y".to_owned()], None).unwrap().remove(0)
        };
        let first = run(vec![1.0, 2.0]);
        let second = run(vec![3.0, 4.0, 5.0, 6.0]);
        assert_eq!(first.try_extract_tensor::<f32>().unwrap().1, [2.0, 4.0]);
        assert_eq!(second.try_extract_tensor::<f32>().unwrap().1, [6.0, 8.0, 10.0, 12.0]);
    }
}
