use std::{path::Path, sync::Mutex};

use clap::ValueEnum;
use ort::{
    environment::Environment,
    ep::{CPU, CUDA, ExecutionProvider as _, ExecutionProviderDispatch, cuda::ConvAlgorithmSearch},
    session::Session,
};
use serde::Deserialize;

use crate::LoadError;

/// The device that heads run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// CUDA if the library and the machine support it, otherwise the CPU
    Auto,
    /// The CPU
    Cpu,
    /// CUDA; the server does not start without it
    Cuda,
}

/// The memory of a session's runs on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionMemory {
    /// The session keeps the memory of its largest run for later runs, which is faster for small tensors.
    Kept,
    /// Each tensor is allocated when it is needed and freed after its last use, for images, whose sizes vary from
    /// kilobytes to gigabytes. Large tensors are then returned to the system at once.
    Returned,
}

/// ONNX Runtime, loaded once per process.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    /// The number of the CUDA device that heads run on; `None` for the CPU.
    cuda: Option<i32>,
    threads: usize,
}

impl Runtime {
    /// Loads the library, selects the device for the heads and logs it. A process loads one library: later
    /// calls return the first one.
    ///
    /// # Errors
    /// [`LoadError::Library`] if the library cannot be loaded, [`LoadError::CudaUnavailable`] if CUDA is required
    /// and not available.
    pub fn load(library: &Path, device: Device, threads: usize) -> Result<Self, LoadError> {
        Self::load_on(library, device, 0, threads)
    }

    /// Loads the library for the CUDA device with this number, otherwise like [`load`](Self::load).
    ///
    /// # Errors
    /// See [`load`](Self::load).
    pub fn load_on(library: &Path, device: Device, number: u16, threads: usize) -> Result<Self, LoadError> {
        let number = i32::from(number);
        let environment = shared_environment(library)
            .map_err(|reason| LoadError::Library { path: library.to_owned(), reason })?;
        let probed = match device {
            Device::Cpu => Err(CudaError::NotRequested),
            Device::Auto | Device::Cuda => probe_cuda(&environment, number),
        };
        let library = library.display();
        match &probed {
            Ok(()) => tracing::info!(%library, device = number, "heads run on CUDA"),
            Err(why) if device == Device::Cuda => return Err(LoadError::CudaUnavailable(why.to_string())),
            Err(why @ CudaError::ProviderFailed(_)) => {
                tracing::warn!(%library, threads, %why, "CUDA cannot be used: heads run on the CPU");
            }
            Err(why) => tracing::info!(%library, threads, %why, "heads run on the CPU"),
        }
        Ok(Self { environment, cuda: probed.is_ok().then_some(number), threads })
    }

    /// Returns whether heads run on CUDA.
    #[must_use]
    pub fn has_cuda(&self) -> bool {
        self.cuda.is_some()
    }

    /// Returns the number of the CUDA device that heads run on; `None` for the CPU.
    pub(crate) fn cuda_device(&self) -> Option<i32> {
        self.cuda
    }

    /// Creates a session for one model.
    ///
    /// # Errors
    /// The error message of ONNX Runtime.
    pub fn session(&self, model: &[u8]) -> Result<Session, String> {
        self.session_with(model, SessionMemory::Kept)
    }

    /// Creates a session for one model, whose runs use their memory in this way.
    ///
    /// # Errors
    /// The error message of ONNX Runtime.
    pub(crate) fn session_with(&self, model: &[u8], memory: SessionMemory) -> Result<Session, String> {
        let builder = Session::builder(&self.environment).map_err(error_text)?;
        let builder = builder.with_intra_threads(self.threads).map_err(error_text)?;
        // Threads that spin between two runs take CPU time from the threads that decode frames and send
        // responses.
        let mut builder = builder.with_intra_op_spinning(false).map_err(error_text)?;
        if let Some(number) = self.cuda {
            builder = builder.with_execution_providers([cuda_provider(number)]).map_err(error_text)?;
        } else if memory == SessionMemory::Returned {
            // A plan of a run's memory is kept for each shape of its inputs, and there are as many as sizes of images.
            builder = builder.with_memory_pattern(false).map_err(error_text)?;
            builder = builder.with_execution_providers([unpooled_cpu_provider()]).map_err(error_text)?;
        }
        builder.commit_from_memory(model).map_err(error_text)
    }
}

/// Returns the environment of this process, which the first call creates.
fn shared_environment(library: &Path) -> Result<Environment, String> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    let mut environment = ENVIRONMENT.lock().map_err(error_text)?;
    if let Some(environment) = environment.as_ref() {
        return Ok(environment.clone());
    }
    let fresh =
        ort::init_from(library).map_err(error_text)?.with_name("lopside").build().map_err(error_text)?;
    Ok(environment.insert(fresh).clone())
}

/// The reason why heads do not run on CUDA.
#[derive(Debug, thiserror::Error)]
enum CudaError {
    #[error("the CPU was requested")]
    NotRequested,
    #[error("this ONNX Runtime is built without CUDA")]
    NotBuilt,
    #[error("{0}")]
    ProviderFailed(String),
}

/// Checks that a session accepts the CUDA provider: it must be built into the library, and its own libraries
/// must be found.
fn probe_cuda(environment: &Environment, number: i32) -> Result<(), CudaError> {
    if !CUDA::is_available().map_err(provider_error)? {
        return Err(CudaError::NotBuilt);
    }
    let builder = Session::builder(environment).map_err(provider_error)?;
    let builder = builder.with_execution_providers([cuda_provider(number)]);
    builder.map(drop).map_err(provider_error)
}

fn provider_error(error: impl std::fmt::Display) -> CudaError {
    CudaError::ProviderFailed(error.to_string())
}

/// Returns the CUDA provider of a device. Shapes vary, so the convolution algorithm is chosen by a heuristic
/// and not by a search. TF32 is off, because its products of 10 bits make outputs differ from the CPU's by
/// more than a thousandth; for more speed at less precision, use heads in 16-bit floats.
fn cuda_provider(number: i32) -> ExecutionProviderDispatch {
    let provider = CUDA::default().with_device_id(number).with_tf32(false);
    provider.with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic).build().error_on_failure()
}

/// Returns the CPU provider without its memory pool, which grows by powers of two and never shrinks.
fn unpooled_cpu_provider() -> ExecutionProviderDispatch {
    CPU::default().with_arena_allocator(false).build().error_on_failure()
}

fn error_text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
