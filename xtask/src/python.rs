//! Python environments of pinned packages, for the tests.

use std::path::PathBuf;

use lopside_python::triton::TritonClient;

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
