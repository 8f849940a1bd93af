//! Rows of nine sensor readings of a space shuttle: UCI's Statlog (Shuttle) in the version of ODDS for
//! anomaly detection, 49,097 rows, 3,511 of them anomalies, from PyPI's `river`.
//!
//! The package does not define a split. Here, the normal rows of the first half are for training, and all
//! rows of the second half for testing.

use std::{fs::File, path::Path};

use flate2::read::GzDecoder;

use super::{
    Series,
    output::Output,
    registry::{Package, Registry},
    series::Columns,
};
use crate::{TrainingError, error::io};

pub(super) const PACKAGE: Package = Package {
    registry: Registry::PyPi { platform: Some("manylinux_2_28_x86_64") },
    name: "river",
    version: "0.26.1",
    file: "river-0.26.1-cp311-cp311-manylinux_2_28_x86_64.whl",
    sha256: "6a11e1a9749beec3ea138efeb0205b2c5cea8d424e9deee306c8980faec01bef",
    licence: "BSD-3-Clause",
};

const FILE: &str = "river/datasets/shuttle.csv.gz";

/// Returns `train.csv` and `test.csv`.
pub(super) fn convert(unpacked: &Path) -> Result<Vec<Output>, TrainingError> {
    let path = unpacked.join(FILE);
    let file = File::open(&path).map_err(io(&path))?;
    let all = Series::parse(GzDecoder::new(file), &path, &Columns::default())?;
    let half = all.len() / 2;
    let normal: Vec<usize> = (0..half).filter(|&row| !all.anomalies[row]).collect();
    let rest: Vec<usize> = (half..all.len()).collect();
    Ok(vec![
        Output::csv("train.csv", FILE, &all.select(&normal)),
        Output::csv("test.csv", FILE, &all.select(&rest)),
    ])
}
