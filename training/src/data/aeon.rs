//! The PyPI package `aeon`, the source of several time series.

use std::{fs::File, path::Path};

use super::{
    TimeSeries,
    package::{Registry, RegistryPackage},
    series::CsvColumns,
};
use crate::{TrainingError, error::io_error};

pub(super) const PACKAGE: RegistryPackage = RegistryPackage {
    registry: Registry::PyPi { platform: None },
    name: "aeon",
    version: "1.6.0",
    file_name: "aeon-1.6.0-py3-none-any.whl",
    sha256: "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
    licence: "BSD-3-Clause",
};

/// The column names of its CSV files.
pub(super) const COLUMNS: CsvColumns<'static> =
    CsvColumns { anomaly_column: "is_anomaly", skipped_columns: &["timestamp"] };

/// Reads one file of the package.
pub(super) fn read_series(unpacked: &Path, file: &str) -> Result<TimeSeries, TrainingError> {
    let path = unpacked.join(file);
    TimeSeries::parse(File::open(&path).map_err(io_error(&path))?, &path, &COLUMNS)
}
