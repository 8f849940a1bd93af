//! Golden inputs: what an encoder is tried on before another machine trusts it.
//!
//! Each is a file and the frame, with all layers, that the trainer's own encoder made of the first input in it. They are
//! part of what an edge gets of a bundle, and no part of its latent space, so they may be added later.

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

/// How many a bundle has at most.
pub const MAX_GOLDEN: usize = 8;

/// Where they are in the bundle.
const FOLDER: &str = "golden";

/// A golden input. Its frame says how finely it was encoded, where there is such a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenSpec {
    /// A file whose first input it is.
    pub input: FileRef,
    /// The frame.
    pub frame: FileRef,
}

/// A golden input that is to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenDraft {
    /// The file's name, whose ending says what is in it.
    pub name: String,
    /// Its bytes.
    pub input: Vec<u8>,
    /// The frame.
    pub frame: Vec<u8>,
}

impl GoldenSpec {
    /// Where the input is, and the frame, when length and digest of both are right.
    ///
    /// # Errors
    /// [`BundleError`] naming the file that is wrong.
    pub fn read(&self, folder: &Path) -> Result<(PathBuf, Vec<u8>), BundleError> {
        files::read(folder, &self.input)?;
        Ok((folder.join(&self.input.path), files::read(folder, &self.frame)?))
    }

    /// Its files.
    pub(crate) fn files(&self) -> [&FileRef; 2] {
        [&self.input, &self.frame]
    }
}

/// Gives the bundle in `folder`, of either kind, these golden inputs in place of those that it has. The latent space
/// stays what it is.
///
/// # Errors
/// [`BundleError`] when there is no whole bundle, two names are the same, or a file cannot be written.
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

/// What manifests of both schemas say of them.
pub(crate) fn check(golden: &[GoldenSpec]) -> Result<(), BundleError> {
    require(golden.len() <= MAX_GOLDEN, "golden", || format!("a bundle has at most {MAX_GOLDEN}"))?;
    let mut seen = HashSet::new();
    for (i, spec) in golden.iter().enumerate() {
        for (name, file) in ["input", "frame"].into_iter().zip(spec.files()) {
            let field = format!("golden[{i}].{name}");
            check_file(&field, file)?;
            require(seen.insert(&file.path), &field, || format!("{} stands twice", file.path))?;
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
