//! The files that a package is converted to.

use super::Series;

/// A file made from a package.
#[derive(Debug)]
pub(super) struct Output {
    /// The file name.
    pub name: String,
    /// The path in the package that it was made from.
    pub path: &'static str,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Output {
    pub(super) fn csv(name: &str, path: &'static str, series: &Series) -> Self {
        Self { name: name.to_owned(), path, bytes: series.to_csv().into_bytes() }
    }
}
