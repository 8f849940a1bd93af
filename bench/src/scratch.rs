use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{BenchError, error::io};

/// Creates a temporary folder on the disk that is measured, which is removed when dropped.
pub(crate) fn scratch(folder: &Path) -> Result<TempDir, BenchError> {
    fs::create_dir_all(folder).map_err(io(folder))?;
    let folder = fs::canonicalize(folder).map_err(io(folder))?;
    tempfile::tempdir_in(&folder).map_err(io(&folder))
}
