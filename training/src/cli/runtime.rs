//! Command-line option of ONNX Runtime.

use std::path::PathBuf;

use clap::Args;

/// Option for the ONNX Runtime library.
#[derive(Debug, Clone, Args)]
pub struct RuntimeArgs {
    /// Path of the ONNX Runtime library
    #[arg(long, env = "ORT_DYLIB_PATH", default_value = "libonnxruntime.so", value_name = "FILE")]
    pub onnxruntime: PathBuf,
}
