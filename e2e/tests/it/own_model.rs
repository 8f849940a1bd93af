//! A user's own model through the real binaries: it is cut, calibrated and served, and its tensors are sent.

use std::{fs, path::Path};

use lopside_e2e::{CloudDecoder, binary_command, run_stdout};
use lopside_onnx::{GraphBuilder, encode_model};

/// Returns a model from `x [n, 8]` to `z [n, 4]`, the means of pairs of values, and back.
fn model() -> Vec<u8> {
    let mut graph = GraphBuilder::new("halver");
    let x = graph.add_input("x", &["n".into(), 8.into()]);
    let pair = |row: usize, column: usize| if row / 2 == column { 0.5 } else { 0.0 };
    let down: Vec<f32> = (0..32).map(|i| pair(i / 4, i % 4)).collect();
    let up: Vec<f32> = (0..32).map(|i| 2.0 * pair(i % 8, i / 8)).collect();
    let down = graph.add_initializer("down", &[8, 4], &down).unwrap();
    let up = graph.add_initializer("up", &[4, 8], &up).unwrap();
    let z = graph.add_node("MatMul", &[&x, &down], "z", &[]);
    let y = graph.add_node("MatMul", &[&z, &up], "again", &[]);
    graph.add_output(&y, &["n".into(), 8.into()]);
    encode_model(&graph.build())
}

/// Writes rows whose values are equal in pairs.
fn write_rows(path: &Path, count: usize) {
    let value = |i: usize| ((i / 2 * 37) % 101) as f32 / 101.0;
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, 8), }}");
    header += &" ".repeat(64 - (10 + header.len() + 1) % 64);
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    let values: Vec<u8> = (0..8 * count).flat_map(|i| value(i).to_le_bytes()).collect();
    fs::write(path, [&b"\x93NUMPY\x01\x00"[..], &length[..], header.as_bytes(), &values].concat()).unwrap();
}

#[test]
fn a_model_file_is_split_and_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("halver.onnx"), model()).unwrap();
    write_rows(&path("rows.npy"), 40);
    let mut split = binary_command("training");
    split
        .arg("split")
        .arg(path("halver.onnx"))
        .args(["--at", "z", "--bits", "6", "--calibrate"])
        .arg(path("rows.npy"));
    let text = run_stdout(split.arg("--out").arg(path("bundle")));
    assert!(text.contains("through real frames") && text.contains("bundle halver in"), "{text}");

    let cloud = CloudDecoder::start(&[&path("bundle")]);
    let mut send = binary_command("edge-encoder");
    send.arg("send").arg("--bundle").arg(path("bundle")).args(["--endpoint", &cloud.url, "--json", "--out"]);
    let report = run_stdout(send.arg(path("answers")).arg(path("rows.npy")));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(report.to_string().contains("rows-00039"), "{report}");
    let results = fs::read_dir(path("answers")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(
        results.filter(|path| path.extension().is_some_and(|extension| extension == "csv")).count(),
        40
    );
}
