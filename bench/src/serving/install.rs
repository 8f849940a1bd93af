//! Installs the peers into the cache: one Python environment per peer, with the versions in
//! `xtask/serving.txt`; and the clients of other projects.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use lopside_python::{node::Node, triton::TritonClient};

use crate::error::ServingError;

/// Pinned packages, one environment per line: `NAME: PACKAGE==VERSION …`.
const PINS: &str = include_str!("../../../xtask/serving.txt");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Returns the environment with this name, and installs it unless it exists.
pub(crate) fn install_environment(name: &str) -> Result<PathBuf, ServingError> {
    let packages = pinned_packages(name)
        .ok_or_else(|| install_error(name, "xtask/serving.txt does not list its packages"))?;
    let cache = lopside_python::cache_folder().map_err(|reason| install_error(name, &reason))?;
    let folder = cache.join("serving").join(name);
    lopside_python::ensure_environment(&folder, &packages, &packages.join(" "), &run)
        .map_err(|reason| install_error(name, &reason))?;
    Ok(folder)
}

/// Returns the environment's `lib/pythonX.Y/site-packages`, and the `X.Y`.
pub(crate) fn site_packages(environment: &Path) -> Result<(PathBuf, String), ServingError> {
    lopside_python::site_packages(environment).map_err(|reason| install_error("a peer", &reason))
}

/// Returns Triton's client.
pub(crate) fn tritonclient() -> Result<TritonClient, ServingError> {
    TritonClient::install(Path::new(ROOT), &run).map_err(|reason| install_error("tritonclient", &reason))
}

/// Returns the command that starts `perf_analyzer`, with the path of its libraries.
pub(crate) fn perf_analyzer() -> Result<Command, ServingError> {
    tritonclient().map(|client| client.perf_analyzer())
}

/// Returns the program `node`, and the folder of packages with gRPC's client.
pub(crate) fn grpc_js() -> Result<(PathBuf, PathBuf), ServingError> {
    let node = Node::install(Path::new(ROOT), &run).map_err(|reason| install_error("Node.js", &reason))?;
    let source = Path::new(ROOT).join("bench/clients/grpc-js");
    let packages = node.install_packages("grpc-js", &source, &run);
    Ok((node.program, packages.map_err(|reason| install_error("grpc-js", &reason))?))
}

/// Returns the packages of an environment as arguments for pip.
fn pinned_packages(name: &str) -> Option<Vec<&'static str>> {
    let lines = PINS.lines().filter(|line| !line.starts_with('#'));
    let mut pins = lines.filter_map(|line| line.split_once(':'));
    pins.find(|(found, _)| *found == name).map(|(_, packages)| packages.split_whitespace().collect())
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    // The output of the commands goes to stderr: stdout is reserved for results.
    match command.stdout(io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("{program} could not be started: {error}")),
    }
}

fn install_error(dependency: &str, reason: &str) -> ServingError {
    ServingError::Install { dependency: dependency.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::peers::PEERS;

    #[test]
    fn every_peer_is_pinned_to_a_version() {
        for name in PEERS.iter().map(|peer| peer.name) {
            let packages = pinned_packages(name).unwrap();
            assert!(packages.iter().all(|package| package.contains("==")), "{packages:?}");
        }
    }
}
