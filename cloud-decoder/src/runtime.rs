use std::{path::Path, sync::Mutex};

use clap::ValueEnum;
use ort::{
    environment::Environment,
    ep::{CUDA, ExecutionProvider as _},
    session::Session,
};
use serde::Deserialize;

use crate::StartError;

/// Where heads run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// CUDA when the library and the machine have it, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// CUDA, or do not start
    Cuda,
}

/// ONNX Runtime, loaded once a process.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    cuda: bool,
    threads: usize,
}

impl Runtime {
    /// Loads the library and decides where heads will run; says so in one log line. A process loads one library:
    /// later calls get the first one.
    ///
    /// # Errors
    /// [`StartError::Library`] when it cannot be loaded, [`StartError::NoCuda`] when CUDA is demanded and absent.
    pub fn load(library: &Path, device: Device, threads: usize) -> Result<Self, StartError> {
        let refused = |reason| StartError::Library { path: library.to_owned(), reason };
        let environment = environment(library).map_err(refused)?;
        let cuda = match device {
            Device::Cpu => Err("the CPU was asked for".to_owned()),
            Device::Auto | Device::Cuda => probe_cuda(&environment),
        };
        match (&cuda, device) {
            (Ok(()), _) => tracing::info!(library = %library.display(), "heads run on CUDA"),
            (Err(why), Device::Cuda) => return Err(StartError::NoCuda(why.clone())),
            (Err(why), _) => {
                tracing::info!(library = %library.display(), threads, why, "heads run on the CPU");
            }
        }
        Ok(Self { environment, cuda: cuda.is_ok(), threads })
    }

    /// Whether heads run on CUDA.
    pub(crate) fn has_cuda(&self) -> bool {
        self.cuda
    }

    /// A session for one model.
    ///
    /// # Errors
    /// What ONNX Runtime says of the model.
    pub fn session(&self, model: &[u8]) -> Result<Session, String> {
        let builder = Session::builder(&self.environment).map_err(text)?;
        let builder = builder.with_intra_threads(self.threads).map_err(text)?;
        // Threads that spin between two runs take the time of those that decode frames and answer.
        let mut builder = builder.with_intra_op_spinning(false).map_err(text)?;
        if self.cuda {
            let provider = CUDA::default().build().error_on_failure();
            builder = builder.with_execution_providers([provider]).map_err(text)?;
        }
        builder.commit_from_memory(model).map_err(text)
    }
}

/// The environment of this process, made at the first call.
fn environment(library: &Path) -> Result<Environment, String> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    let mut environment = ENVIRONMENT.lock().map_err(text)?;
    if let Some(environment) = environment.as_ref() {
        return Ok(environment.clone());
    }
    let fresh = ort::init_from(library).map_err(text)?.with_name("lopside").build().map_err(text)?;
    Ok(environment.insert(fresh).clone())
}

/// Whether a session can be given the CUDA provider: built into the library, and its own libraries found.
fn probe_cuda(environment: &Environment) -> Result<(), String> {
    if !CUDA::is_available().map_err(text)? {
        return Err("this ONNX Runtime is built without CUDA".into());
    }
    let builder = Session::builder(environment).map_err(text)?;
    builder.with_execution_providers([CUDA::default().build().error_on_failure()]).map(drop).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
