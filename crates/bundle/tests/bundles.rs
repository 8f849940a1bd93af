//! Writing, loading and refusing bundles.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use lopside_bundle::{
    Bundle, BundleError, Channels, Cost, Dim, Draft, DraftHead, HeadKind, Manifest, Part, Preprocess,
    TensorSpec,
};
use lopside_latent::{Quantiser, Table, Tables};
use tempfile::TempDir;

fn tensor(name: &str, extent: u32) -> TensorSpec {
    TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(extent)] }
}

fn draft() -> Draft {
    Draft {
        name: "toy".into(),
        description: "Two values for four pixels".into(),
        preprocess: Preprocess { width: 2, height: 2, channels: Channels::Grey, low: 0.0, high: 1.0 },
        encoder: b"encoder model".to_vec(),
        input: tensor("image", 4),
        latent: tensor("latent", 2),
        encoder_cost: Cost { parameters: 10, macs: 8 },
        quantiser: Quantiser::new(vec![4.0, 0.1]).unwrap(),
        tables: Tables::new(vec![Table::from_counts(-1, &[1, 2, 1]).unwrap(); 2]).unwrap(),
        heads: vec![
            DraftHead {
                name: "reconstruct".into(),
                version: 1,
                kind: HeadKind::Reconstruct { width: 2, height: 2, channels: Channels::Grey },
                model: b"decoder model".to_vec(),
                output: tensor("reconstruction", 4),
                cost: Cost { parameters: 12, macs: 8 },
            },
            DraftHead {
                name: "classify".into(),
                version: 1,
                kind: HeadKind::Classify { labels: vec!["cat".into(), "dog".into(), "owl".into()] },
                model: b"classifier model".to_vec(),
                output: tensor("logits", 3),
                cost: Cost { parameters: 9, macs: 6 },
            },
        ],
    }
}

fn written() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    draft().write(folder.path(), "# Toy\n").unwrap();
    folder
}

/// Changes the manifest's text and returns what loading says.
fn after_edit(from: &str, to: &str) -> String {
    let folder = written();
    let path = folder.path().join("bundle.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    Bundle::load(folder.path(), Part::Whole).unwrap_err().to_string()
}

fn after_file(name: &str, change: impl Fn(&Path)) -> BundleError {
    let folder = written();
    change(&folder.path().join(name));
    Bundle::load(folder.path(), Part::Whole).unwrap_err()
}

#[test]
fn the_manifest_is_golden() {
    let folder = written();
    let text = fs::read_to_string(folder.path().join("bundle.json")).unwrap();
    assert_eq!(text, include_str!("golden/bundle.json"));
}

#[test]
fn what_was_written_is_loaded() {
    let folder = written();
    let whole = Bundle::load(folder.path(), Part::Whole).unwrap();
    assert_eq!(whole.encoder, b"encoder model");
    assert_eq!(whole.space.id(), draft().latent_space());
    assert_eq!(whole.space.tables(), &draft().tables);
    assert_eq!(whole.heads[1].model, b"classifier model");
    assert_eq!(whole.manifest.heads.len(), 2);
}

#[test]
fn each_host_needs_only_its_part() {
    let folder = written();
    fs::remove_dir_all(folder.path().join("heads")).unwrap();
    assert!(Bundle::load(folder.path(), Part::Encoder).unwrap().heads.is_empty());
    assert!(matches!(Bundle::load(folder.path(), Part::Heads), Err(BundleError::Io { .. })));

    let folder = written();
    fs::remove_file(folder.path().join("encoder.onnx")).unwrap();
    assert_eq!(Bundle::load(folder.path(), Part::Heads).unwrap().heads.len(), 2);
    assert!(matches!(Bundle::load(folder.path(), Part::Encoder), Err(BundleError::Io { .. })));
}

#[test]
fn a_changed_file_is_named() {
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[0] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    for name in
        ["encoder.onnx", "tables.bin", "heads/reconstruct-1.onnx", "heads/classify-1.onnx", "README.md"]
    {
        assert!(
            matches!(after_file(name, flip), BundleError::DigestMismatch { path, .. } if path == name),
            "{name}"
        );
    }
    let grow = |path: &Path| fs::write(path, [0; 100]).unwrap();
    assert!(matches!(after_file("encoder.onnx", grow), BundleError::Length { expected: 13, .. }));
}

#[test]
fn no_path_leaves_the_folder() {
    for path in ["../encoder.onnx", "/etc/passwd", "heads/../../x", "./encoder.onnx", "", "..\\\\x"] {
        let error = after_edit("\"encoder.onnx\"", &format!("\"{path}\""));
        assert!(error.contains("not a plain relative path"), "{path}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_does_not_leave_the_folder() {
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    fs::write(elsewhere.path(), "encoder model").unwrap();
    let error = after_file("encoder.onnx", |path| {
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), path).unwrap();
    });
    assert!(matches!(error, BundleError::Outside { .. }), "{error}");
}

#[test]
fn each_defect_of_the_manifest_is_named() {
    let cases = [
        ("\"schema\": 1", "\"schema\": 2", "schema 2, this build reads 1"),
        ("\"schema\": 1", "\"schema\": 1, \"extra\": 0", "unknown field `extra`"),
        ("\"name\": \"toy\"", "\"name\": \"Toy!\"", "name: \"Toy!\""),
        ("\"latent_space\": \"", "\"latent_space\": \"x", "latent-space id is 16"),
        ("\"low\": 0.0", "\"low\": 1.0", "low must be below high"),
        ("\"width\": 2", "\"width\": 3", "encoder.input.shape"),
        ("4.0,", "5.0,", "give"),
        ("\"cat\",", "", "heads[1].output.shape"),
        ("\"name\": \"classify\"", "\"name\": \"reconstruct\"", "version 1 twice"),
        ("\"sha256\": \"", "\"sha256\": \"0", "encoder.model.sha256"),
    ];
    for (from, to, expected) in cases {
        let error = after_edit(from, to);
        assert!(error.contains(expected), "{from} → {to}: {error}");
    }
}

#[test]
fn a_folder_without_a_manifest_is_no_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let error = Bundle::load(folder.path(), Part::Whole).unwrap_err();
    assert!(matches!(error, BundleError::NoManifest { .. }));
}

#[test]
fn the_latent_space_is_named_after_all_that_defines_it() {
    let base = draft().latent_space();
    let changed: [fn(&mut Draft); 4] = [
        |d| d.encoder.push(0),
        |d| d.preprocess.high = 2.0,
        |d| d.quantiser = Quantiser::new(vec![4.0, 0.2]).unwrap(),
        |d| d.tables = Tables::new(vec![Table::from_counts(-1, &[1, 2, 2]).unwrap(); 2]).unwrap(),
    ];
    for change in changed {
        let mut draft = draft();
        change(&mut draft);
        assert_ne!(draft.latent_space(), base);
    }
    let mut heads = draft();
    heads.heads.pop();
    assert_eq!(heads.latent_space(), base, "heads are not part of the latent space");
}

#[test]
fn a_manifest_survives_json() {
    let folder = written();
    let text = fs::read_to_string(folder.path().join("bundle.json")).unwrap();
    let manifest: Manifest = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string_pretty(&manifest).unwrap() + "\n", text);
}
