use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{BenchError, error::io_error};

/// Creates a temporary folder on the disk that is measured, which is removed when dropped.
pub(crate) fn scratch_folder(folder: &Path) -> Result<TempDir, BenchError> {
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let folder = fs::canonicalize(folder).map_err(io_error(folder))?;
    tempfile::tempdir_in(&folder).map_err(io_error(&folder))
}
