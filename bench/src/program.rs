use std::{env, ffi::OsString};

use crate::{BenchError, error::failed};

/// Returns the binary that an environment variable names.
pub(crate) fn program(variable: &str) -> Result<OsString, BenchError> {
    env::var_os(variable)
        .ok_or_else(|| failed(format!("{variable} is not set: start the bench with `cargo xtask bench`")))
}
