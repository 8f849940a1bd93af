//! The part of the shipped bundles that devices need, complete and damaged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lopside_bundle::{BundleError, BundlePart, DevicePart, Digest, image_codec::AnyBundle};
use tempfile::TempDir;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bundles").join(name)
}

/// Copies the part of a shipped bundle that a device receives.
fn copied(name: &str) -> TempDir {
    let (folder, source) = (tempfile::tempdir().unwrap(), shipped(name));
    for file in DevicePart::read(&source).unwrap().files {
        let target = folder.path().join(&file.path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(source.join(&file.path), target).unwrap();
    }
    folder
}

/// Returns the error of checking the encoder after its file was changed.
fn after(change: impl Fn(&Path)) -> BundleError {
    let folder = copied("fashion");
    let part = DevicePart::read(folder.path()).unwrap();
    change(&folder.path().join("encoder.onnx"));
    let encoder = part.files.iter().find(|file| file.path == "encoder.onnx").unwrap();
    DevicePart::verify_file(folder.path(), encoder).unwrap_err()
}

#[test]
fn a_device_part_has_the_manifest_the_encoder_files_and_the_golden_inputs() {
    for (name, expected) in [
        ("fashion", &["bundle.json", "encoder.onnx", "tables.bin"][..]),
        ("photo", &["bundle.json", "encoder.onnx", "encoder-fast.onnx", "contexts.bin"]),
    ] {
        let part = DevicePart::read(&shipped(name)).unwrap();
        let paths: Vec<&str> = part.files.iter().map(|file| &file.path[..]).collect();
        let (encoder_files, golden) = paths.split_at(expected.len());
        assert_eq!((&part.name[..], encoder_files), (name, expected));
        assert!(!golden.is_empty() && golden.iter().all(|path| path.starts_with("golden/")), "{golden:?}");
    }
}

#[test]
fn a_device_part_alone_is_enough_to_load_the_encoder() {
    for name in ["fashion", "photo"] {
        let folder = copied(name);
        let part = DevicePart::read(folder.path()).unwrap();
        for file in &part.files {
            let path = DevicePart::verify_file(folder.path(), file).unwrap();
            let bytes = fs::read(path).unwrap();
            assert_eq!((bytes.len() as u64, Digest::of(&bytes)), (file.bytes, file.sha256.clone()));
        }
        assert_eq!(part.bytes(), part.files.iter().map(|file| file.bytes).sum::<u64>());
        let space = match AnyBundle::load(folder.path(), BundlePart::Encoder).unwrap() {
            AnyBundle::FixedLatent(bundle) => bundle.space.id(),
            AnyBundle::ImageCodec(bundle) => bundle.space.id(),
        };
        assert_eq!(part.latent_space, space);
    }
}

#[test]
fn a_file_error_does_not_reveal_the_path_of_the_folder() {
    let missing = after(|path| fs::remove_file(path).unwrap());
    assert!(matches!(&missing, BundleError::Missing { path } if path == "encoder.onnx"), "{missing}");
    let short = after(|path| fs::write(path, "short").unwrap());
    assert!(matches!(short, BundleError::LengthMismatch { found: 5, .. }), "{short}");
    let flipped = after(|path| {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    });
    assert!(matches!(flipped, BundleError::DigestMismatch { .. }), "{flipped}");
    let folder = after(|path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
    for error in [missing, short, flipped, folder] {
        let message = error.to_string();
        assert!(message.starts_with("encoder.onnx "), "{message}");
    }
}

#[test]
fn a_manifest_with_another_latent_space_is_refused() {
    for (name, old, new) in [
        ("fashion", "\"high\": [\n        1.0", "\"high\": [\n        2.0"),
        ("photo", "\"reach\": ", "\"reach\": 1"),
    ] {
        let folder = copied(name);
        let path = folder.path().join("bundle.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{name}");
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
        let error = DevicePart::read(folder.path()).unwrap_err();
        assert!(matches!(error, BundleError::LatentSpaceMismatch { .. }), "{name}: {error}");
    }
}

#[test]
fn a_digest_survives_its_text_form() {
    let digest = Digest::of(b"abc");
    let bytes = digest.to_bytes().unwrap();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text, digest.as_str());
    let parse = |text: &str| serde_json::from_str::<Digest>(&format!("\"{text}\"")).unwrap();
    assert_eq!(parse(&text).to_bytes(), Some(bytes));
    for invalid in ["", &text[1..], &text.to_uppercase(), &format!("{text}00"), &"+f".repeat(32)] {
        assert_eq!(parse(invalid).to_bytes(), None, "{invalid}");
    }
}
