//! `InternalBleeding16` of the UCR anomaly archive (Wu and Keogh, 2021, arXiv:2009.13807): arterial blood
//! pressure of a pig, 1,200 normal points for training, then one anomaly of 12 points, from PyPI's `aeon`
//! (`KDD-TSAD_135`).
//!
//! The package's test file is the whole series, training part included; here the test part begins after the
//! training part, which leaves 6,301 of its 7,501 points.

use std::path::Path;

use super::{aeon::read_series, output::OutputFile};
use crate::{TrainingError, error::invalid_data};

const TRAIN: &str = "aeon/datasets/data/KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_TRAIN.csv";
const TEST: &str = "aeon/datasets/data/KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_TEST.csv";

/// Returns `train.csv` and `test.csv`.
pub(super) fn convert(unpacked: &Path) -> Result<Vec<OutputFile>, TrainingError> {
    let (train, whole) = (read_series(unpacked, TRAIN)?, read_series(unpacked, TEST)?);
    if !whole.values.starts_with(&train.values) {
        let reason = "it does not begin with the values of the training part".to_owned();
        return Err(invalid_data(&unpacked.join(TEST), reason));
    }
    let test_rows: Vec<usize> = (train.len()..whole.len()).collect();
    Ok(vec![
        OutputFile::from_series("train.csv", TRAIN, &train),
        OutputFile::from_series("test.csv", TEST, &whole.select(&test_rows)),
    ])
}
