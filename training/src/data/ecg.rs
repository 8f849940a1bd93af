//! `ecg-diff-count-3`, a synthetic electrocardiogram of 10,000 points (`GutenTAG`; Wenig, Schmidl and
//! Papenbrock, 2022), from PyPI's `aeon`: `TRAIN_NA`, without an anomaly, is for training; `TEST` has three
//! anomalies of 100 points each. `TRAIN_A`, with anomalies, is not used.

use std::path::Path;

use super::{aeon::read_series, output::OutputFile};
use crate::TrainingError;

const TRAIN: &str = "aeon/datasets/data/UnitTest/ecg-diff-count-3_TRAIN_NA.csv";
const TEST: &str = "aeon/datasets/data/UnitTest/ecg-diff-count-3_TEST.csv";

/// Returns `train.csv` and `test.csv`.
pub(super) fn convert(unpacked: &Path) -> Result<Vec<OutputFile>, TrainingError> {
    [("train.csv", TRAIN), ("test.csv", TEST)]
        .into_iter()
        .map(|(name, file)| Ok(OutputFile::from_series(name, file, &read_series(unpacked, file)?)))
        .collect()
}
