//! Output on stdout. Names and messages from outside are escaped, so that they cannot control a terminal.

use std::io::{self, Write as _};

use lopside_telemetry::printable::{escape_json, escape_lines};
use serde::Serialize;

use crate::EdgeError;

/// Prints lines of text, and a line feed unless they end with one.
///
/// # Errors
/// [`EdgeError::Stdout`], for example because the reader of a pipe has closed it.
pub(super) fn lines(text: &str) -> Result<(), EdgeError> {
    write_line(&escape_lines(text))
}

/// Prints a value as JSON on one line.
///
/// # Errors
/// [`EdgeError::Json`], or as [`lines`].
pub(super) fn json(value: &impl Serialize) -> Result<(), EdgeError> {
    write_line(&escape_json(&serde_json::to_string(value)?))
}

/// Prints a value as JSON for people, on several lines.
///
/// # Errors
/// As [`json`].
pub(super) fn pretty_json(value: &impl Serialize) -> Result<(), EdgeError> {
    write_line(&escape_json(&serde_json::to_string_pretty(value)?))
}

fn write_line(text: &str) -> Result<(), EdgeError> {
    writeln!(io::stdout(), "{}", text.strip_suffix('\n').unwrap_or(text)).map_err(EdgeError::Stdout)
}
