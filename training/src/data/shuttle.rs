//! Rows of nine sensor readings of a space shuttle: UCI's Statlog (Shuttle) in the version of ODDS for
//! anomaly detection, 49,097 rows, 3,511 of them anomalies, from PyPI's `river`.
//!
//! The package does not define a split. Here, the normal rows of the first half are for training, and all
//! rows of the second half for testing.

use std::{fs::File, path::Path};

use flate2::read::GzDecoder;

use super::{
    TimeSeries,
    output::OutputFile,
    package::{Registry, RegistryPackage},
    series::CsvColumns,
};
use crate::{TrainingError, error::io_error};

pub(super) const PACKAGE: RegistryPackage = RegistryPackage {
    registry: Registry::PyPi { platform: Some("manylinux_2_28_x86_64") },
    name: "river",
    version: "0.26.1",
    file_name: "river-0.26.1-cp311-cp311-manylinux_2_28_x86_64.whl",
    sha256: "6a11e1a9749beec3ea138efeb0205b2c5cea8d424e9deee306c8980faec01bef",
    licence: "BSD-3-Clause",
};

const FILE: &str = "river/datasets/shuttle.csv.gz";

/// Returns `train.csv` and `test.csv`.
pub(super) fn convert(unpacked: &Path) -> Result<Vec<OutputFile>, TrainingError> {
    let path = unpacked.join(FILE);
    let file = File::open(&path).map_err(io_error(&path))?;
    let series = TimeSeries::parse(GzDecoder::new(file), &path, &CsvColumns::default())?;
    let half = series.len() / 2;
    let train_rows: Vec<usize> = (0..half).filter(|&row| !series.anomalies[row]).collect();
    let test_rows: Vec<usize> = (half..series.len()).collect();
    Ok(vec![
        OutputFile::from_series("train.csv", FILE, &series.select(&train_rows)),
        OutputFile::from_series("test.csv", FILE, &series.select(&test_rows)),
    ])
}
