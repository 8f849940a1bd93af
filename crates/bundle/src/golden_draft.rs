use std::{collections::HashSet, fs, path::Path};

use crate::{
    AnyManifest, BundleError, FileRef, GoldenInputSpec,
    files::{io_error, write_file},
    manifest_file,
};

/// The folder of the golden inputs in the bundle.
const GOLDEN_FOLDER: &str = "golden";

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

/// Replaces the golden inputs of the bundle in `folder`, of either kind. The latent space does not change. The files
/// of the previous golden inputs are removed, unless the manifest names them for another purpose too.
///
/// # Errors
/// Returns [`BundleError`] if the bundle is incomplete, two names are the same or that of another file of the bundle,
/// or a file cannot be written.
pub fn put_golden_inputs(folder: &Path, drafts: &[GoldenInputDraft]) -> Result<(), BundleError> {
    let mut manifest = AnyManifest::read(folder)?;
    let specs = drafts.iter().map(GoldenInputDraft::spec).collect();
    let previous = std::mem::replace(manifest.golden_mut(), specs);
    manifest.check()?;
    for (draft, spec) in drafts.iter().zip(manifest.golden()) {
        write_file(folder, &spec.input.path, &draft.input)?;
        write_file(folder, &spec.frame.path, &draft.frame)?;
    }
    match &manifest {
        AnyManifest::FixedLatent(manifest) => manifest_file::write_manifest(folder, manifest)?,
        AnyManifest::ImageCodec(manifest) => manifest_file::write_manifest(folder, manifest)?,
    }
    let listed: HashSet<&Path> = manifest.all_files().into_iter().map(|file| Path::new(&file.path)).collect();
    let obsolete = previous
        .iter()
        .flat_map(GoldenInputSpec::file_refs)
        .filter(|file| !listed.contains(Path::new(&file.path)));
    obsolete
        .map(|file| folder.join(&file.path))
        .filter(|path| path.exists())
        .try_for_each(|path| fs::remove_file(&path).map_err(|source| io_error(&path, source)))
}

impl GoldenInputDraft {
    fn spec(&self) -> GoldenInputSpec {
        GoldenInputSpec {
            input: FileRef::of(format!("{GOLDEN_FOLDER}/{}", self.name), &self.input),
            frame: FileRef::of(format!("{GOLDEN_FOLDER}/{}.lps", self.name), &self.frame),
        }
    }
}
