//! The bundles and samples of the repository.

use std::path::{Path, PathBuf};

use lopside_bundle::{
    BundlePart,
    image_codec::{AnyBundle, ImageCodecBundle},
};

/// Returns the path of a file or folder of the repository.
pub(crate) fn in_clone(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Loads the edge's part of the bundle `photo`.
pub(crate) fn shipped_photo_bundle() -> ImageCodecBundle {
    match AnyBundle::load(&in_clone("bundles/photo"), BundlePart::Encoder).unwrap() {
        AnyBundle::ImageCodec(bundle) => bundle,
        AnyBundle::FixedLatent(_) => unreachable!("the bundle has schema 2"),
    }
}
