//! `ecg-diff-count-3`, a made electrocardiogram of 10,000 points (`GutenTAG`; Wenig, Schmidl and Papenbrock, 2022), from
//! PyPI's `aeon`: `TRAIN_NA`, without an anomaly, is for training; `TEST` has three events of 100 points each.
//! `TRAIN_A`, with anomalies, is not used.

use std::path::Path;

use super::{
    fetch::Output,
    internal_bleeding::read,
    registry::{Package, Registry},
    series::Columns,
};
use crate::TrainingError;

pub(super) const PACKAGE: Package = Package {
    registry: Registry::PyPi { platform: None },
    name: "aeon",
    version: "1.6.0",
    file: "aeon-1.6.0-py3-none-any.whl",
    sha256: "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
    licence: "BSD-3-Clause",
};

/// How aeon names the columns.
pub(super) const AEON: Columns = Columns { label: "is_anomaly", skipped: &["timestamp"] };

const TRAIN: &str = "aeon/datasets/data/UnitTest/ecg-diff-count-3_TRAIN_NA.csv";
const TEST: &str = "aeon/datasets/data/UnitTest/ecg-diff-count-3_TEST.csv";

/// `train.csv` and `test.csv`.
pub(super) fn convert(unpacked: &Path) -> Result<Vec<Output>, TrainingError> {
    [("train.csv", TRAIN), ("test.csv", TEST)]
        .into_iter()
        .map(|(name, file)| Ok(Output::csv(name, file, &read(unpacked, file, &AEON)?)))
        .collect()
}
