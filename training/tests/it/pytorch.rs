//! Cuts an autoencoder that PyTorch trained and exported, and runs the commands of `docs/your-own-model.md` as a reader
//! would type them. `cargo xtask pytorch` installs PyTorch and runs these tests.

use std::{env, fs, net::TcpListener, path::Path, process::Command};

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs PyTorch, 5 GB: `cargo xtask pytorch` installs it and sets LOPSIDE_TORCH_PYTHON to its Python"]
fn an_autoencoder_from_pytorch_is_cut() {
    let python = env::var_os("LOPSIDE_TORCH_PYTHON")
        .expect("LOPSIDE_TORCH_PYTHON is not set: run `cargo xtask pytorch`");
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("autoencoder.onnx");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/export_autoencoder.py");
    let trained = output(Command::new(python).arg(script).arg(&model));
    assert!(trained.contains("mean squared error"), "{trained}");
    assert!(folder.path().join("autoencoder.onnx.data").is_file(), "the weights are not in a separate file");

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
    // 16 filters of 4×4 at 8×8 positions, then 4 filters of 2×2×16 at 4×4 positions.
    assert_eq!(report["encoder"]["macs"], 16 * 16 * 64 + 4 * 64 * 16);
    assert!(report["tract_difference"].as_f64().unwrap() <= 1e-4, "{report}");
    assert!(report["onnx_runtime_difference"].as_f64().unwrap() <= 1e-4, "{report}");
    assert!(out.join("encoder.onnx").is_file() && out.join("decoder.onnx").is_file());
}

#[test]
#[ignore = "needs PyTorch, 5 GB: `cargo xtask pytorch` installs it and sets LOPSIDE_TORCH_PYTHON to its Python"]
fn the_guides_commands_serve_an_autoencoder_from_pytorch() {
    let python = env::var_os("LOPSIDE_TORCH_PYTHON")
        .expect("LOPSIDE_TORCH_PYTHON is not set: run `cargo xtask pytorch`");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = fs::read_to_string(root.join("docs/your-own-model.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let commands = commands(&guide).replace("out/own", out).replace("8080", &port.to_string());
    assert_eq!(commands.lines().count(), 6, "{commands}");
    let script = format!("trap 'kill %1' EXIT\n{commands}");
    let path = env::join_paths(
        Path::new(&python)
            .parent()
            .into_iter()
            .map(Path::to_path_buf)
            .chain(env::split_paths(&env::var_os("PATH").unwrap())),
    );
    let mut shell = Command::new("bash");
    output(shell.args(["-euo", "pipefail", "-c", &script]).current_dir(root).env("PATH", path.unwrap()));

    let report = fs::read_to_string(folder.path().join("bundle/split.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["bundle"]["test_inputs"], 32);
    assert_eq!(report["bundle"]["one_by_one"], serde_json::Value::Null);
    let error = report["bundle"]["chosen"]["outputs"][0]["relative_rms"].as_f64().unwrap();
    assert!(error < 0.5, "{report}");
    let responses = fs::read_dir(folder.path().join("answers")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(
        responses.filter(|path| path.extension().is_some_and(|extension| extension == "csv")).count(),
        128
    );
}

/// Returns the lines of all `sh` blocks.
fn commands(text: &str) -> String {
    let mut inside = false;
    let mut commands = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            commands.push_str(line);
            commands.push('\n');
        }
    }
    commands
}
