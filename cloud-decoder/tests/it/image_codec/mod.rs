//! Images of any size and a head whose output is known: the library, gRPC and REST.

mod bundles;
mod cost;
mod large;
mod library;
mod maps;
mod service;
mod slow;

use std::{env, path::PathBuf};

/// Returns the path of the ONNX Runtime library.
fn onnxruntime() -> PathBuf {
    let path = env::var_os("ORT_DYLIB_PATH");
    path.expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`").into()
}
