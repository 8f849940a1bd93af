use std::{env, ffi::OsString};

use crate::{BenchError, error::measurement_error};

/// Returns the binary that an environment variable names.
pub(crate) fn program_path(variable: &str) -> Result<OsString, BenchError> {
    env::var_os(variable).ok_or_else(|| {
        measurement_error(format!("{variable} is not set: start the bench with `cargo xtask bench`"))
    })
}
