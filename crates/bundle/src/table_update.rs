use std::path::Path;

use crate::{BundleError, FixedLatentManifest, TableSpec, manifest_file};

/// Replaces the form of tables in the manifest of the bundle in `folder`; `None` removes it. The latent space does not
/// change.
///
/// # Errors
/// Returns [`BundleError`] if the manifest is not that of a fixed-latent bundle, or if the bundle cannot read tables of
/// this form.
pub fn put_table(folder: &Path, table: Option<TableSpec>) -> Result<(), BundleError> {
    let mut manifest: FixedLatentManifest = manifest_file::ManifestFile::read(folder)?.parse()?;
    manifest.table = table;
    manifest.check()?;
    manifest_file::write_manifest(folder, &manifest)
}
