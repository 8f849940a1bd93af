//! The files that a package is converted to.

use super::TimeSeries;

/// A file made from a package.
#[derive(Debug)]
pub(super) struct OutputFile {
    /// The file name.
    pub name: String,
    /// The path in the package that it was made from.
    pub package_path: &'static str,
    /// The content.
    pub bytes: Vec<u8>,
}

impl OutputFile {
    pub(super) fn from_series(name: &str, package_path: &'static str, series: &TimeSeries) -> Self {
        Self { name: name.to_owned(), package_path, bytes: series.to_csv().into_bytes() }
    }
}
