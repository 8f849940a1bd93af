//! Adds golden inputs to a bundle with the command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use lopside_bundle::AnyManifest;

fn repository_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Copies the edge's part of `bundles/fashion` to a temporary folder.
fn bundle() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["bundle.json", "encoder.onnx", "tables.bin"] {
        fs::copy(repository_path("bundles/fashion").join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn golden(bundle: &Path, inputs: &[PathBuf]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_training"));
    command.arg("golden").arg("--bundle").arg(bundle).args(inputs).output().unwrap()
}

#[test]
fn a_bundle_gets_golden_inputs_and_keeps_its_latent_space() {
    let folder = bundle();
    let before = AnyManifest::read(folder.path()).unwrap();
    let inputs = ["05-trouser.png", "06-coat.png"].map(|name| repository_path("samples/fashion").join(name));
    let output = golden(folder.path(), &inputs);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let after = AnyManifest::read(folder.path()).unwrap();
    assert_eq!(after.latent_space(), before.latent_space());
    let found: Vec<(PathBuf, Vec<u8>)> =
        after.golden().iter().map(|golden| golden.read_verified(folder.path()).unwrap()).collect();
    assert_eq!(found.len(), 2);
    for ((path, frame), input) in found.iter().zip(&inputs) {
        assert_eq!(fs::read(path).unwrap(), fs::read(input).unwrap());
        assert!(!frame.is_empty());
    }
    assert_ne!(found[0].1, found[1].1);
}

#[test]
fn invalid_inputs_are_refused_and_the_bundle_is_unchanged() {
    let folder = bundle();
    let manifest = || fs::read(folder.path().join("bundle.json")).unwrap();
    let before = manifest();
    let sample = repository_path("samples/fashion/05-trouser.png");
    let cases: [(&[PathBuf], &str); 4] = [
        (&[], "INPUT"),
        (&[sample.clone(), sample.clone()], "two inputs are named"),
        (&[repository_path("Cargo.toml")], "Cargo.toml"),
        (&vec![sample; 9], "unexpected"),
    ];
    for (inputs, expected) in cases {
        let output = golden(folder.path(), inputs);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(expected), "{expected}: {error}");
    }
    assert_eq!(manifest(), before);
}
