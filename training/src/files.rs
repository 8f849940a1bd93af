//! Atomic file replacement.

use std::{fs, path::Path};

use crate::{TrainingError, error::io_error};

/// Replaces a file atomically: the old file stays until the new one is complete.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    let temporary = path.with_added_extension("new");
    fs::write(&temporary, bytes).map_err(io_error(&temporary))?;
    fs::rename(&temporary, path).map_err(io_error(path))
}
