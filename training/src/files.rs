//! Files that are never seen half written.

use std::{fs, path::Path};

use crate::{TrainingError, error::io};

/// Replaces a file in one step: the old one stays until the new one is whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    let fresh = path.with_added_extension("new");
    fs::write(&fresh, bytes).map_err(io(&fresh))?;
    fs::rename(&fresh, path).map_err(io(path))
}
