//! Pictures of any size through a head whose output is known: the library's path, gRPC and REST.

mod bundles;
mod library;
mod maps;
mod service;

use std::{env, path::PathBuf};

/// The ONNX Runtime library.
fn onnxruntime() -> PathBuf {
    let path = env::var_os("ORT_DYLIB_PATH");
    path.expect("ORT_DYLIB_PATH names ONNX Runtime: run the tests with `cargo xtask test`").into()
}
