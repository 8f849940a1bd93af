//! Arbitrary bytes as `bundle.json`. A manifest that is accepted names only files inside of the bundle's folder, and
//! is read again in the same way.

#![no_main]

use lopside_bundle::{AnyManifest, is_plain_path};
use lopside_fuzz::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(manifest) = AnyManifest::parse(text.to_vec()) else { return };
    for file in manifest.device_files() {
        assert!(is_plain_path(&file.path), "{:?} is accepted as a path", file.path);
    }
    assert!(!manifest.name().is_empty());
    assert_eq!(AnyManifest::parse(text.to_vec()).ok(), Some(manifest));
});
