//! What a package becomes.

use super::Series;

/// A file that is made of a package.
#[derive(Debug)]
pub(super) struct Output {
    /// Its name.
    pub name: String,
    /// What it is made of: a path in the package.
    pub path: &'static str,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl Output {
    pub(super) fn csv(name: &str, path: &'static str, series: &Series) -> Self {
        Self { name: name.to_owned(), path, bytes: series.to_csv().into_bytes() }
    }
}
