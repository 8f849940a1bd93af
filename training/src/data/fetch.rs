//! `training data NAME`: checks and unpacks a package's file and converts it to the few files that training
//! reads.
//!
//! `provenance.csv` is replaced last, so if it exists, all its files do. The package and its unpacked files
//! are in a temporary folder below DIR that is removed at the end.

use std::{fs, path::Path};

use lopside_bundle::Digest;

use super::{RegistryPackage, aeon, ecg, internal_bleeding, mnist, output::OutputFile, shuttle};
use crate::{TrainingError, error::io_error, files::replace_file, photos::PROVENANCE_FILE};

const PROVENANCE_HEADER: &str = "file,registry,package,version,licence,path,package_sha256,sha256";

/// A data set that comes from a package registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryDataset {
    /// 10,000 digits, 28×28: 8,006 for training, 1,994 for testing.
    Mnist,
    /// Rows of 9 numbers: 22,770 normal ones for training, 24,549 for testing, 1,733 of them anomalies.
    Shuttle,
    /// 1 channel: 1,200 normal points for training, 6,301 for testing with one anomaly of 12 points.
    InternalBleeding,
    /// 1 channel: 10,000 normal points for training, 10,000 for testing with three anomalies of 100 points.
    Ecg,
}

impl RegistryDataset {
    /// Returns the package that contains the data set.
    #[must_use]
    pub const fn package(self) -> RegistryPackage {
        match self {
            Self::Mnist => mnist::PACKAGE,
            Self::Shuttle => shuttle::PACKAGE,
            Self::InternalBleeding | Self::Ecg => aeon::PACKAGE,
        }
    }

    fn convert(self, unpacked: &Path) -> Result<Vec<OutputFile>, TrainingError> {
        match self {
            Self::Mnist => mnist::convert(unpacked),
            Self::Shuttle => shuttle::convert(unpacked),
            Self::InternalBleeding => internal_bleeding::convert(unpacked),
            Self::Ecg => ecg::convert(unpacked),
        }
    }
}

/// Writes a data set and `provenance.csv` to `out`. Takes the package's file from the folder `packages`, or
/// downloads it from its registry for `None`. Files of the same names are replaced, others are kept.
///
/// # Errors
/// [`PackageError`](crate::PackageError) when the registry's client or an unpacking tool is missing or fails, or
/// when the file does not have the expected digest; [`DataError`](crate::DataError) when it has unexpected
/// content; [`TrainingError::Io`].
pub fn fetch(set: RegistryDataset, out: &Path, packages: Option<&Path>) -> Result<(), TrainingError> {
    fs::create_dir_all(out).map_err(io_error(out))?;
    let work = tempfile::Builder::new().prefix(".package-").tempdir_in(out).map_err(io_error(out))?;
    let package = set.package();
    if packages.is_none() {
        package.download(work.path())?;
    }
    let unpacked = work.path().join("unpacked");
    package.unpack(packages.unwrap_or(work.path()), &unpacked)?;
    let mut table = format!("{PROVENANCE_HEADER}\n");
    for output in set.convert(&unpacked)? {
        replace_file(&out.join(&output.name), &output.bytes)?;
        table += &provenance_row(&package, &output);
    }
    replace_file(&out.join(PROVENANCE_FILE), table.as_bytes())
}

fn provenance_row(package: &RegistryPackage, output: &OutputFile) -> String {
    let RegistryPackage { registry, name, version, licence, sha256, .. } = package;
    let (registry, digest) = (registry.name(), Digest::of(&output.bytes));
    format!(
        "{},{registry},{name},{version},{licence},{},{sha256},{}\n",
        output.name,
        output.package_path,
        digest.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_package_is_named_and_leaves_no_files() {
        let (out, packages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for set in [
            RegistryDataset::Mnist,
            RegistryDataset::Shuttle,
            RegistryDataset::InternalBleeding,
            RegistryDataset::Ecg,
        ] {
            let error = fetch(set, out.path(), Some(packages.path())).unwrap_err().to_string();
            assert!(error.contains(set.package().file_name), "{error}");
        }
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_provenance_row_names_the_origin() {
        let output = OutputFile { name: "train.csv".into(), package_path: "a/b.csv", bytes: Vec::new() };
        assert_eq!(
            provenance_row(&aeon::PACKAGE, &output),
            "train.csv,PyPI,aeon,1.6.0,BSD-3-Clause,a/b.csv,\
             d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409,\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        );
    }
}
