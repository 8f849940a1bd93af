//! A lower bound for every server: ONNX Runtime in a bare loop over the same input, with the same number of
//! threads.

use std::{
    env,
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};
use ort::{environment::Environment, session::Session, value::TensorRef};

use super::models::{INPUT_NAME, Model};
use crate::{BenchError, error::ServingError};

/// A session of a model.
#[derive(Debug)]
pub(crate) struct BareLoop {
    session: Session,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl BareLoop {
    /// Loads ONNX Runtime from `ORT_DYLIB_PATH`, and the model.
    pub(crate) fn new(model: Model, threads: usize) -> Result<Self, BenchError> {
        let builder = Session::builder(&shared_environment()?).map_err(runtime_error)?;
        let mut builder = builder.with_intra_threads(threads).map_err(runtime_error)?;
        let session = builder.commit_from_memory(&model.onnx_bytes()?).map_err(runtime_error)?;
        let shape = std::iter::once(1).chain(model.input_shape()).collect();
        Ok(Self { session, shape, values: model.input_values() })
    }

    /// Runs the model once and returns its output.
    pub(crate) fn run(&mut self) -> Result<Vec<f32>, BenchError> {
        let input =
            TensorRef::from_array_view((self.shape.clone(), &self.values[..])).map_err(runtime_error)?;
        let outputs = self.session.run(ort::inputs![INPUT_NAME => input]).map_err(runtime_error)?;
        Ok(outputs[0].try_extract_tensor::<f32>().map_err(runtime_error)?.1.to_vec())
    }

    /// Runs the model for the given time and returns the CPU time per run in milliseconds.
    pub(crate) fn cpu_ms(&mut self, duration: Duration) -> Result<f64, BenchError> {
        let (start, cpu_before) = (Instant::now(), process_cpu_time()?);
        let mut runs = 0_u32;
        while start.elapsed() < duration {
            self.run()?;
            runs += 1;
        }
        Ok(process_cpu_time()?.saturating_sub(cpu_before).as_secs_f64() * 1e3 / f64::from(runs.max(1)))
    }
}

/// Returns the environment of this process, which is created on the first call.
fn shared_environment() -> Result<Environment, BenchError> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    let mut environment = ENVIRONMENT.lock().map_err(runtime_error)?;
    if let Some(environment) = environment.as_ref() {
        return Ok(environment.clone());
    }
    let library = env::var_os("ORT_DYLIB_PATH").map_or("libonnxruntime.so".into(), PathBuf::from);
    let created = ort::init_from(library).map_err(runtime_error)?.build().map_err(runtime_error)?;
    Ok(environment.insert(created).clone())
}

/// Returns the CPU time that this process has used so far.
fn process_cpu_time() -> Result<Duration, BenchError> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map(Duration::from)
        .map_err(|error| BenchError::CpuClock { source: error.into() })
}

fn runtime_error(error: impl std::fmt::Display) -> ServingError {
    ServingError::OnnxRuntime(error.to_string())
}
