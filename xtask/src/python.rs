//! Python environments of pinned packages, for the tests.

use std::path::PathBuf;

use lopside_python::triton::Client;

use crate::{Result, processes, workspace::root};

/// The Python of an environment with what a requirements file names; made in the cache when it is not there yet. The
/// file pins `package`, whose version tells one environment from the next.
pub(crate) fn environment(pin: &str, package: &str) -> Result<PathBuf> {
    lopside_python::pinned(&root().join(pin), package, &processes::run)
}

/// Triton's client and load generator.
pub(crate) fn triton() -> Result<Client> {
    Client::install(&root(), &processes::run)
}
