//! Further versions of a head: the same inputs, outputs and meaning, with another model.

use std::path::Path;

use serde::Serialize;

use crate::{
    BundleError, FileRef, FixedLatentHeadSpec, FixedLatentManifest,
    files::write_file,
    image_codec::{IMAGE_CODEC_SCHEMA, ImageCodecHeadSpec, ImageCodecManifest},
    manifest_file::{self, ManifestFile},
};

/// Adds a model to the bundle in `folder`, of either kind, as the next version of a head, and returns that
/// version. It is placed before the earlier versions, which stay. The specification of the newest version
/// applies to it as well.
///
/// # Errors
/// Returns [`BundleError`] if the bundle is incomplete, it does not contain the head, or a file cannot be
/// written.
pub fn add_version(folder: &Path, head: &str, model: &[u8]) -> Result<u32, BundleError> {
    let file = ManifestFile::read(folder)?;
    if file.schema_version()? == IMAGE_CODEC_SCHEMA {
        let mut manifest: ImageCodecManifest = file.parse()?;
        let added = insert_next_version(&mut manifest.heads, head, model)?;
        manifest.check()?;
        write_version(folder, added, model, &manifest)
    } else {
        let mut manifest: FixedLatentManifest = file.parse()?;
        let added = insert_next_version(&mut manifest.heads, head, model)?;
        manifest.check()?;
        write_version(folder, added, model, &manifest)
    }
}

/// Access to the fields in which a new version differs.
trait VersionedHead: Clone {
    fn version_fields(&mut self) -> (&str, &mut u32, &mut FileRef);
}

impl VersionedHead for FixedLatentHeadSpec {
    fn version_fields(&mut self) -> (&str, &mut u32, &mut FileRef) {
        (&self.name, &mut self.version, &mut self.model)
    }
}

impl VersionedHead for ImageCodecHeadSpec {
    fn version_fields(&mut self) -> (&str, &mut u32, &mut FileRef) {
        (&self.name, &mut self.version, &mut self.model)
    }
}

/// Inserts the next version before the others of the same name, and returns its number and its file.
fn insert_next_version<H: VersionedHead>(
    heads: &mut Vec<H>,
    name: &str,
    model: &[u8],
) -> Result<(u32, FileRef), BundleError> {
    let mut newest = 0;
    let mut found: Option<(usize, H)> = None;
    for (index, head) in heads.iter_mut().enumerate() {
        let (head_name, &mut version, _) = head.version_fields();
        if head_name == name && version >= newest {
            newest = version;
            let first = found.map_or(index, |(first, _)| first);
            found = Some((first, head.clone()));
        }
    }
    let Some((index, mut head)) = found else {
        let reason = format!("there is no head {name:?}");
        return Err(BundleError::InvalidField { field: "heads".into(), reason });
    };
    let (_, version, file) = head.version_fields();
    *version = newest.saturating_add(1);
    *file = FileRef::of(format!("heads/{name}-{version}.onnx"), model);
    let added = (*version, file.clone());
    heads.insert(index, head);
    Ok(added)
}

fn write_version(
    folder: &Path,
    (version, file): (u32, FileRef),
    model: &[u8],
    manifest: &impl Serialize,
) -> Result<u32, BundleError> {
    write_file(folder, &file.path, model)?;
    manifest_file::write_manifest(folder, manifest)?;
    Ok(version)
}
