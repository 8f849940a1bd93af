//! Models that others made, for the tests of cutting.

use std::{env, path::PathBuf};

use lopside_python::cache;

use crate::{Result, python, runtime, wheels, workspace::cargo};

/// Versions and SHA-256 of the wheels, for pip.
const PIN: &str = "xtask/models.txt";
/// Versions of what the PyTorch example needs.
const PYTORCH: &str = "xtask/pytorch.txt";

/// The folder of the unpacked wheels: `LOPSIDE_MODELS`, or the pinned ones in the cache, fetched when they are not
/// there yet.
pub(crate) fn folder() -> Result<PathBuf> {
    if let Some(path) = env::var_os("LOPSIDE_MODELS").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let versions =
        ["rapidocr-onnxruntime", "onnx", "silero-vad"].map(|package| wheels::version(PIN, package));
    let versions: Vec<String> = versions.into_iter().collect::<Result<_>>()?;
    let folder = cache()?.join(format!("models-{}", versions.join("-")));
    if !folder.is_dir() {
        eprintln!("xtask: fetching models into {}", folder.display());
        wheels::fetch(PIN, &folder)
            .map_err(|error| format!("{error}: Python 3 with pip is needed, or LOPSIDE_MODELS set"))?;
    }
    Ok(folder)
}

/// Makes a Python environment with PyTorch in the cache, about 5 GB, and runs the tests that need it.
pub(crate) fn pytorch() -> Result<()> {
    let library = runtime::library()?;
    let python = python::environment(PYTORCH, "torch")?;
    let test = ["test", "--release", "--workspace", "--test", "it", "--", "pytorch::", "--include-ignored"];
    cargo(&test, &[("ORT_DYLIB_PATH", &library), ("LOPSIDE_TORCH_PYTHON", &python)])
}
