//! A bundle whose inputs are unprocessed tensors of 2×2, and whose outputs are twice the inputs.

use std::fs;

use lopside_bundle::{FixedLatentDraft, HeadKind, InputSpec};
use lopside_e2e::{CloudDecoder, run_failing};

use super::toy::{self, edge, identity, near, npy, product, refusal, tensor};

fn draft() -> FixedLatentDraft {
    let [x, latent, doubled] = [tensor("x", &[2, 2]), tensor("latent", &[4]), tensor("doubled", &[2, 2])];
    let mut encoder = toy::graph(&[&x]);
    encoder.flatten("x", "latent");
    let encoder = toy::model(encoder, &[&latent]);
    let mut draft = toy::draft(InputSpec::Tensor {}, x, encoder, vec![toy::layer(latent.clone())]);
    let mut graph = toy::graph(&[&latent]);
    product(&mut graph, "latent", &identity::<4>().map(|row| row.map(|value| 2.0 * value)), "flat");
    graph.reshape("flat", &[-1, 2, 2], "doubled");
    let model = toy::model(graph, &[&doubled]);
    draft.heads.push(toy::head("double", HeadKind::Tensor {}, &["latent"], doubled, model));
    draft
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    draft().write(&folder.path().join("bundle"), "# Toy\n").unwrap();
    folder
}

#[test]
fn tensors_are_sent_unchanged() {
    let folder = folder();
    let values = [1.0, 2.0, 3.0, 4.0, 0.0, 0.5, -0.5, 0.0];
    fs::write(folder.path().join("many.npy"), npy(&[2, 2, 2], &values)).unwrap();
    fs::write(folder.path().join("one.npy"), npy(&[2, 2], &values[..4])).unwrap();
    let cloud = CloudDecoder::start(&[&folder.path().join("bundle")]);
    let report = toy::json(folder.path(), "send", &["--endpoint", &cloud.url, "many.npy", "one.npy"]);
    let rows = report["pictures"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["many-00000", "many-00001", "one"]);
    assert_eq!(rows[0]["raw_bytes"], 16);
    // The output is twice the input, so the error equals the input.
    assert!(near(rows[0]["rmse"].as_f64().unwrap(), (30.0_f64 / 4.0).sqrt()), "{report}");
    let csv = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    assert_eq!(csv("many-00001.csv"), "0,0.5,0,1\n-0.5,0,-1,0\n");
    assert_eq!(csv("one.csv"), csv("many-00000.csv"));
}

#[test]
fn other_arrays_are_refused() {
    let folder = folder();
    let cases: [(&str, &[u8], &str); 3] = [
        ("flat.npy", &npy(&[4], &[0.0; 4]), "shape [4] is not [2, 2], with or without a leading dimension"),
        ("nan.npy", &npy(&[2, 2], &[0.0, 1.0, f32::NAN, 0.0]), "number 2 is NaN"),
        ("log.csv", b"1,2\n3,4\n", "tensors can only be read from .npy files"),
    ];
    for (name, bytes, expected) in cases {
        let error = refusal(folder.path(), name, bytes);
        assert!(error.contains(expected) && error.lines().count() == 1, "{expected}: {error}");
    }
    let error = run_failing(&mut edge(folder.path(), "encode", &["--quality", "9", "flat.npy"]));
    assert!(error.contains("--quality"), "{error}");
    let error = run_failing(&mut edge(folder.path(), "send", &["--with-input", "flat.npy"]));
    assert!(error.contains("--with-input needs a head that scores"), "{error}");
}
