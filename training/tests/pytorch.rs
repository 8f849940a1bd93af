//! An autoencoder that PyTorch trained and exported, cut by the command. `cargo xtask pytorch` installs PyTorch and
//! runs this.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{env, path::Path, process::Command};

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs PyTorch, 5 GB: `cargo xtask pytorch` installs it and sets LOPSIDE_TORCH_PYTHON to its Python"]
fn an_autoencoder_from_pytorch_is_cut() {
    let python =
        env::var_os("LOPSIDE_TORCH_PYTHON").expect("LOPSIDE_TORCH_PYTHON names no Python with PyTorch");
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("autoencoder.onnx");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/export_autoencoder.py");
    let trained = output(Command::new(python).arg(script).arg(&model));
    assert!(trained.contains("mean squared error"), "{trained}");
    assert!(folder.path().join("autoencoder.onnx.data").is_file(), "the weights are in a file of their own");

    let out = folder.path().join("halves");
    let split = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_training"));
        let text = output(command.arg("split").arg(&model).arg("--json").args(options));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let listing = split(&[]);
    assert_eq!(listing["cuts"].as_array().unwrap().len(), 8);
    let report = split(&["--budget-mac", "100000", "--out", out.to_str().unwrap()]);
    assert_eq!(report["latents"][0]["shape"], serde_json::json!([1, 4, 4, 4]));
    // 16 filters of 4×4 at 8×8 places, then 4 of 2×2×16 at 4×4.
    assert_eq!(report["encoder"]["macs"], 16 * 16 * 64 + 4 * 64 * 16);
    assert!(report["tract_difference"].as_f64().unwrap() <= 1e-4, "{report}");
    assert!(report["onnx_runtime_difference"].as_f64().unwrap() <= 1e-4, "{report}");
    assert!(out.join("encoder.onnx").is_file() && out.join("decoder.onnx").is_file());
}
