use std::{env, ffi::OsString};

use crate::error::ProgramError;

/// Returns the binary that an environment variable names.
pub(crate) fn program_path(variable: &str) -> Result<OsString, ProgramError> {
    env::var_os(variable).ok_or_else(|| ProgramError::NotNamed { variable: variable.to_owned() })
}
