//! Further versions of a head: the same inputs, outputs and meaning, with another model.

use std::path::Path;

use serde::Serialize;

use crate::{
    BundleError, FileRef, HeadSpec, Manifest,
    files::{file_ref, put},
    manifest_file::{self, ManifestFile},
    picture::{PICTURE_SCHEMA, PictureHeadSpec, PictureManifest},
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
    if file.schema()? == PICTURE_SCHEMA {
        let mut manifest: PictureManifest = file.parse()?;
        let added = next(&mut manifest.heads, head, model)?;
        manifest.check()?;
        write(folder, added, model, &manifest)
    } else {
        let mut manifest: Manifest = file.parse()?;
        let added = next(&mut manifest.heads, head, model)?;
        manifest.check()?;
        write(folder, added, model, &manifest)
    }
}

/// Access to the fields in which a new version differs.
trait Versioned: Clone {
    fn parts(&mut self) -> (&str, &mut u32, &mut FileRef);
}

impl Versioned for HeadSpec {
    fn parts(&mut self) -> (&str, &mut u32, &mut FileRef) {
        (&self.name, &mut self.version, &mut self.model)
    }
}

impl Versioned for PictureHeadSpec {
    fn parts(&mut self) -> (&str, &mut u32, &mut FileRef) {
        (&self.name, &mut self.version, &mut self.model)
    }
}

/// Inserts the next version before the others of the same name, and returns its number and its file.
fn next<H: Versioned>(heads: &mut Vec<H>, name: &str, model: &[u8]) -> Result<(u32, FileRef), BundleError> {
    let mut newest = 0;
    let mut found: Option<(usize, H)> = None;
    for (place, head) in heads.iter_mut().enumerate() {
        let (its_name, &mut version, _) = head.parts();
        if its_name == name && version >= newest {
            newest = version;
            let first = found.map_or(place, |(first, _)| first);
            found = Some((first, head.clone()));
        }
    }
    let Some((place, mut head)) = found else {
        let reason = format!("there is no head {name:?}");
        return Err(BundleError::Field { field: "heads".into(), reason });
    };
    let (_, version, file) = head.parts();
    *version = newest.saturating_add(1);
    *file = file_ref(format!("heads/{name}-{version}.onnx"), model);
    let added = (*version, file.clone());
    heads.insert(place, head);
    Ok(added)
}

fn write(
    folder: &Path,
    (version, file): (u32, FileRef),
    model: &[u8],
    manifest: &impl Serialize,
) -> Result<u32, BundleError> {
    put(folder, &file.path, model)?;
    manifest_file::write(folder, manifest)?;
    Ok(version)
}
