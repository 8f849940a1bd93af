//! Golden inputs, with which a machine tests an encoder before it trusts it.
//!
//! Each one is an input file together with the frame, with all layers, that the trainer's own encoder
//! produced for the first input in that file. They belong to the device's part of a bundle but not to its
//! latent space, so they may be added later.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    AnyManifest, BundleError, FileRef,
    check::{check_file, require},
    files::{self, file_ref, io_error, put},
    manifest_file,
};

/// Maximum number of golden inputs per bundle.
pub const MAX_GOLDEN: usize = 8;

/// The folder of the golden inputs in the bundle.
const FOLDER: &str = "golden";

/// A golden input. For models with a quality setting, the frame contains the quality that it was encoded
/// with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenSpec {
    /// The input file, of which the first input counts.
    pub input: FileRef,
    /// The frame.
    pub frame: FileRef,
}

/// A golden input to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenDraft {
    /// The name of the file; its extension determines the format.
    pub name: String,
    /// The bytes of the input file.
    pub input: Vec<u8>,
    /// The bytes of the frame.
    pub frame: Vec<u8>,
}

impl GoldenSpec {
    /// Checks the length and digest of both files. Returns the path of the input and the bytes of the frame.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the file that is wrong.
    pub fn read(&self, folder: &Path) -> Result<(PathBuf, Vec<u8>), BundleError> {
        files::read(folder, &self.input)?;
        Ok((folder.join(&self.input.path), files::read(folder, &self.frame)?))
    }

    /// Returns both files.
    pub(crate) fn files(&self) -> [&FileRef; 2] {
        [&self.input, &self.frame]
    }
}

/// Replaces the golden inputs of the bundle in `folder`, of either kind. The latent space does not change.
///
/// # Errors
/// Returns [`BundleError`] if the bundle is incomplete, two names are the same, or a file cannot be written.
pub fn put_golden(folder: &Path, drafts: &[GoldenDraft]) -> Result<(), BundleError> {
    let mut manifest = AnyManifest::read(folder)?;
    let specs = drafts.iter().map(GoldenDraft::spec).collect();
    let before = std::mem::replace(manifest.golden_mut(), specs);
    manifest.check()?;
    for (draft, spec) in drafts.iter().zip(manifest.golden()) {
        put(folder, &spec.input.path, &draft.input)?;
        put(folder, &spec.frame.path, &draft.frame)?;
    }
    match &manifest {
        AnyManifest::Vector(manifest) => manifest_file::write(folder, manifest)?,
        AnyManifest::Picture(manifest) => manifest_file::write(folder, manifest)?,
    }
    let named: HashSet<&str> = manifest.edge_files().into_iter().map(|file| file.path.as_str()).collect();
    let old = before.iter().flat_map(GoldenSpec::files).filter(|file| !named.contains(file.path.as_str()));
    old.map(|file| folder.join(&file.path))
        .filter(|path| path.exists())
        .try_for_each(|path| fs::remove_file(&path).map_err(|source| io_error(&path, source)))
}

/// Checks the golden inputs of a manifest of either schema.
pub(crate) fn check(golden: &[GoldenSpec]) -> Result<(), BundleError> {
    require(golden.len() <= MAX_GOLDEN, "golden", || {
        format!("a bundle can have at most {MAX_GOLDEN} golden inputs")
    })?;
    let mut seen = HashSet::new();
    for (i, spec) in golden.iter().enumerate() {
        for (name, file) in ["input", "frame"].into_iter().zip(spec.files()) {
            let field = format!("golden[{i}].{name}");
            check_file(&field, file)?;
            require(seen.insert(&file.path), &field, || format!("{} is listed twice", file.path))?;
        }
    }
    Ok(())
}

impl GoldenDraft {
    fn spec(&self) -> GoldenSpec {
        GoldenSpec {
            input: file_ref(format!("{FOLDER}/{}", self.name), &self.input),
            frame: file_ref(format!("{FOLDER}/{}.lps", self.name), &self.frame),
        }
    }
}
