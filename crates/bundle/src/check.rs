//! Checks of the fields that the manifests of both schemas share.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use crate::{BundleError, FileRef, files};

pub(crate) fn require(
    condition: bool,
    field: &str,
    reason: impl FnOnce() -> String,
) -> Result<(), BundleError> {
    if condition {
        Ok(())
    } else {
        Err(BundleError::InvalidField { field: field.to_owned(), reason: reason() })
    }
}

pub(crate) fn check_name(field: &str, name: &str) -> Result<(), BundleError> {
    let is_valid = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    require(is_valid, field, || format!("{name:?} must consist of 1 to 64 characters of a–z, 0–9 and -"))
}

pub(crate) fn check_file(field: &str, file: &FileRef) -> Result<(), BundleError> {
    if !files::is_plain_path(&file.path) {
        return Err(BundleError::PathOutside { path: file.path.clone() });
    }
    require(file.sha256.is_well_formed(), &format!("{field}.sha256"), || {
        "it must be 64 lower-case hexadecimal digits".into()
    })
}

/// Checks that a file that several fields name has the same contents for all of them. Adding a file therefore never
/// replaces another one.
pub(crate) fn check_files_agree(files: Vec<&FileRef>) -> Result<(), BundleError> {
    let mut by_path: HashMap<&Path, &FileRef> = HashMap::new();
    for file in files {
        let first = *by_path.entry(Path::new(&file.path)).or_insert(file);
        require((first.bytes, &first.sha256) == (file.bytes, &file.sha256), &file.path, || {
            "two fields name this file, with different lengths or digests".into()
        })?;
    }
    Ok(())
}

/// Checks that `low` is below `high` and that their difference is finite.
pub(crate) fn check_range(field: &str, low: f32, high: f32) -> Result<(), BundleError> {
    let span = high - low;
    require(span.is_finite() && span > 0.0, field, || "low must be below high".into())
}

pub(crate) fn check_has_heads<H>(heads: &[H]) -> Result<(), BundleError> {
    require(!heads.is_empty(), "heads", || "a bundle must have at least one head".into())
}

/// Checks the fields that all heads have; `seen` holds the names and versions of the heads before this one.
pub(crate) fn check_head<'a>(
    seen: &mut HashSet<(&'a str, u32)>,
    index: usize,
    name: &'a str,
    version: u32,
    model: &FileRef,
) -> Result<(), BundleError> {
    check_name(&head_field(index, "name"), name)?;
    require(seen.insert((name, version)), &head_field(index, "version"), || {
        format!("head {name:?} lists version {version} twice")
    })?;
    check_file(&head_field(index, "model"), model)
}

/// Returns the path of a head's field.
pub(crate) fn head_field(index: usize, name: &str) -> String {
    format!("heads[{index}].{name}")
}
