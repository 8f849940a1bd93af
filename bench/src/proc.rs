//! Figures from `/proc`.

use std::{fs, path::Path};

use crate::{
    BenchError,
    error::{ProgramError, io_error},
};

/// Returns the number after `name` in a `/proc` file with one name and value per line.
pub(crate) fn read_field(path: &str, name: &str) -> Result<f64, BenchError> {
    let text = fs::read_to_string(path).map_err(io_error(Path::new(path)))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(number.ok_or_else(|| ProgramError::MissingFigure { path: path.to_owned(), name: name.to_owned() })?)
}
