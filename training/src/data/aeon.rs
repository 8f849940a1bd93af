//! The PyPI package `aeon`, the source of several time series.

use std::{fs::File, path::Path};

use super::{
    Series,
    registry::{Package, Registry},
    series::Columns,
};
use crate::{TrainingError, error::io};

pub(super) const PACKAGE: Package = Package {
    registry: Registry::PyPi { platform: None },
    name: "aeon",
    version: "1.6.0",
    file: "aeon-1.6.0-py3-none-any.whl",
    sha256: "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
    licence: "BSD-3-Clause",
};

/// The column names of its CSV files.
pub(super) const COLUMNS: Columns = Columns { label: "is_anomaly", skipped: &["timestamp"] };

/// Reads one file of the package.
pub(super) fn read(unpacked: &Path, file: &str) -> Result<Series, TrainingError> {
    let path = unpacked.join(file);
    Series::parse(File::open(&path).map_err(io(&path))?, &path, &COLUMNS)
}
