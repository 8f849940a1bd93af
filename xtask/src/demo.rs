//! `cargo xtask demo`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Result,
    processes::{self, Server},
    runtime,
    workspace::{cargo, root, target},
};

const BUNDLE: &str = "bundles/fashion";
const SAMPLES: &str = "samples/fashion";

/// Builds both binaries, starts the cloud's on a free port and runs the edge's over the samples.
pub(crate) fn run(out: &Path, json: bool, binaries: Option<PathBuf>) -> Result<()> {
    let library = runtime::library()?;
    let binaries = binaries.map_or_else(build, Ok)?;
    let binary = |name: &str| {
        let mut command = Command::new(binaries.join(name));
        command.current_dir(root()).stdin(Stdio::null());
        command
    };
    let mut cloud = binary("cloud-decoder");
    cloud.args(["serve", "--listen", "127.0.0.1:0", "--bundle", BUNDLE, "--onnxruntime"]).arg(library);
    cloud.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()));
    let server = Server::start(&mut cloud)?;
    let mut edge = binary("edge-encoder");
    edge.args(["send", "--bundle", BUNDLE, "--endpoint", &server.address, "--out"]).arg(out);
    if json {
        edge.arg("--json");
    }
    processes::run(edge.arg(SAMPLES))
}

fn build() -> Result<PathBuf> {
    cargo(&["build", "--release", "--bin", "edge-encoder", "--bin", "cloud-decoder"], &[])?;
    Ok(target().join("release"))
}
