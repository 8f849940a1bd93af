//! The ONNX Runtime library, from PyPI's wheel.

use std::{env, path::PathBuf};

use lopside_python::cache_folder;

use crate::{Result, wheels};

/// Version and SHA-256 of the wheels, for pip.
const PIN: &str = "xtask/onnxruntime.txt";

/// Returns the path of the library: `ORT_DYLIB_PATH`, or the pinned one in the cache, which is downloaded if it is
/// missing.
pub(crate) fn library() -> Result<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let version = wheels::version(PIN, "onnxruntime")?;
    let folder = cache_folder()?.join(format!("onnxruntime-{version}-{}", env::consts::ARCH));
    let library = folder.join(format!("onnxruntime/capi/libonnxruntime.so.{version}"));
    if !library.is_file() {
        eprintln!("xtask: downloading ONNX Runtime {version} into {}", folder.display());
        if env::consts::OS != "linux" {
            return Err(
                "ONNX Runtime is downloaded on Linux only; set ORT_DYLIB_PATH to your library".to_owned()
            );
        }
        wheels::fetch(PIN, &folder).map_err(|error| {
            format!("{error}; install Python 3 with pip, or set ORT_DYLIB_PATH to your library")
        })?;
    }
    if library.is_file() {
        Ok(library)
    } else {
        Err(format!("the wheel does not contain {}", library.display()))
    }
}
