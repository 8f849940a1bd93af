//! Golden inputs, with which a machine tests an encoder before it trusts it.
//!
//! Each one is an input file together with the frame, with all layers, that the trainer's own encoder
//! produced for the first input in that file. They belong to the device's part of a bundle but not to its
//! latent space, so they may be added later.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    BundleError, FileRef,
    check::{check_file, require},
    files,
};

/// Maximum number of golden inputs per bundle.
pub const MAX_GOLDEN_INPUTS: usize = 8;

/// A golden input. For models with a quality setting, the frame contains the quality that it was encoded
/// with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenInputSpec {
    /// The input file, of which the first input counts.
    pub input: FileRef,
    /// The frame.
    pub frame: FileRef,
}

impl GoldenInputSpec {
    /// Checks the length and digest of both files. Returns the path of the input and the bytes of the frame.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the file that is wrong.
    pub fn read_verified(&self, folder: &Path) -> Result<(PathBuf, Vec<u8>), BundleError> {
        files::read(folder, &self.input)?;
        Ok((folder.join(&self.input.path), files::read(folder, &self.frame)?))
    }

    /// Returns both files.
    pub(crate) fn file_refs(&self) -> [&FileRef; 2] {
        [&self.input, &self.frame]
    }
}

/// Checks the golden inputs of a manifest of either schema.
pub(crate) fn check_golden(golden: &[GoldenInputSpec]) -> Result<(), BundleError> {
    require(golden.len() <= MAX_GOLDEN_INPUTS, "golden", || {
        format!("a bundle can have at most {MAX_GOLDEN_INPUTS} golden inputs")
    })?;
    let mut seen = HashSet::new();
    for (i, spec) in golden.iter().enumerate() {
        for (name, file) in ["input", "frame"].into_iter().zip(spec.file_refs()) {
            let field = format!("golden[{i}].{name}");
            check_file(&field, file)?;
            require(seen.insert(&file.path), &field, || format!("{} is listed twice", file.path))?;
        }
    }
    Ok(())
}
