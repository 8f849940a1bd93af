//! Python environments of pinned packages, and Node.js, for the tests.

use std::path::PathBuf;

use lopside_python::{node::Node, triton::TritonClient};

use crate::{Result, processes, workspace::root};

/// Returns the Python of an environment with the packages of a requirements file, which is installed into the cache if
/// it is missing. The file must pin `package`; its version identifies the environment.
pub(crate) fn environment(pin: &str, package: &str) -> Result<PathBuf> {
    lopside_python::pinned_python(&root().join(pin), package, &processes::run)
}

/// Returns Triton's client and load generator, which are installed if they are missing.
pub(crate) fn triton() -> Result<TritonClient> {
    TritonClient::install(&root(), &processes::run)
}

/// The programs that generate and run a TypeScript client.
pub(crate) struct TypeScript {
    /// The program `node`.
    pub(crate) node: PathBuf,
    /// The folder `node_modules` with the generator and the compiler.
    pub(crate) packages: PathBuf,
}

/// Returns the programs that generate and run a TypeScript client, which are installed if they are missing.
pub(crate) fn typescript() -> Result<TypeScript> {
    let node = Node::install(&root(), &processes::run)?;
    let source = root().join("e2e/clients/typescript");
    let packages = node.install_packages("typescript", &source, &processes::run)?;
    Ok(TypeScript { node: node.program, packages })
}
