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
    files::{self, file_ref, io_error, write_file},
    manifest_file,
};

/// Maximum number of golden inputs per bundle.
pub const MAX_GOLDEN_INPUTS: usize = 8;

/// The folder of the golden inputs in the bundle.
const GOLDEN_FOLDER: &str = "golden";

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

/// A golden input to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenInputDraft {
    /// The name of the file; its extension determines the format.
    pub name: String,
    /// The bytes of the input file.
    pub input: Vec<u8>,
    /// The bytes of the frame.
    pub frame: Vec<u8>,
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

/// Replaces the golden inputs of the bundle in `folder`, of either kind. The latent space does not change.
///
/// # Errors
/// Returns [`BundleError`] if the bundle is incomplete, two names are the same, or a file cannot be written.
pub fn put_golden_inputs(folder: &Path, drafts: &[GoldenInputDraft]) -> Result<(), BundleError> {
    let mut manifest = AnyManifest::read(folder)?;
    let specs = drafts.iter().map(GoldenInputDraft::spec).collect();
    let before = std::mem::replace(manifest.golden_mut(), specs);
    manifest.check()?;
    for (draft, spec) in drafts.iter().zip(manifest.golden()) {
        write_file(folder, &spec.input.path, &draft.input)?;
        write_file(folder, &spec.frame.path, &draft.frame)?;
    }
    match &manifest {
        AnyManifest::FixedLatent(manifest) => manifest_file::write_manifest(folder, manifest)?,
        AnyManifest::ImageCodec(manifest) => manifest_file::write_manifest(folder, manifest)?,
    }
    let named: HashSet<&str> = manifest.device_files().into_iter().map(|file| file.path.as_str()).collect();
    let old =
        before.iter().flat_map(GoldenInputSpec::file_refs).filter(|file| !named.contains(file.path.as_str()));
    old.map(|file| folder.join(&file.path))
        .filter(|path| path.exists())
        .try_for_each(|path| fs::remove_file(&path).map_err(|source| io_error(&path, source)))
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

impl GoldenInputDraft {
    fn spec(&self) -> GoldenInputSpec {
        GoldenInputSpec {
            input: file_ref(format!("{GOLDEN_FOLDER}/{}", self.name), &self.input),
            frame: file_ref(format!("{GOLDEN_FOLDER}/{}.lps", self.name), &self.frame),
        }
    }
}
