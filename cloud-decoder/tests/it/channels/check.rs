//! `cloud-decoder check` with channels, run as a command.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::{
    bundle,
    support::{NEW, channel},
};

/// Returns whether `check` accepts the bundles and channels in a folder, and its report.
fn check(folder: &Path) -> (bool, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-decoder"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOPSIDE_")) {
        command.env_remove(name);
    }
    command.args(["check", "--json", "--device", "cpu", "--threads", "1", "--bundle"]);
    command.arg(folder.join("bundles")).arg("--channels").arg(folder.join("channels.toml"));
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (
        output.status.success(),
        report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))),
    )
}

#[test]
fn check_reports_the_offers_of_channels_and_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let (toy, other) = (folder.path().join("bundles/toy"), folder.path().join("bundles/other"));
    bundle::write(&toy, "toy", NEW);
    bundle::write(&other, "other", b"other encoder");
    let path = folder.path().join("channels.toml");
    fs::write(&path, channel("stable", None)).unwrap();
    let (ok, report) = check(folder.path());
    assert!(ok, "{report}");
    let stable = &report["channels"]["channels"][0];
    assert_eq!(stable["latent_space"], bundle::space(NEW).to_string());
    assert_eq!((&stable["name"], &stable["version"]), (&"stable".into(), &1.into()));

    fs::write(toy.join("encoder.onnx"), "damaged").unwrap();
    fs::remove_file(other.join("encoder.onnx")).unwrap();
    let second = "[[channel]]\nname = 'second'\nbundle = 'other'\n";
    fs::write(&path, format!("{}{second}{}", channel("stable", None), channel("third", Some(9)))).unwrap();
    let (ok, report) = check(folder.path());
    assert!(!ok);
    let problems = report["problems"].as_array().unwrap();
    for (problem, words) in problems.iter().zip([
        ["channel \"stable\"", "encoder.onnx has 7 bytes"],
        ["channel \"second\"", "encoder.onnx is missing"],
        ["channel \"third\"", "version 9"],
    ]) {
        let problem = problem.as_str().unwrap();
        assert!(words.iter().all(|word| problem.contains(word)), "{problem}");
    }
    assert_eq!(problems.len(), 3, "{problems:?}");

    fs::write(&path, "[[channel]]\nname = 'stable'\n").unwrap();
    let (ok, report) = check(folder.path());
    assert!(!ok && report["problems"][0].as_str().unwrap().contains("channels.toml"), "{report}");
}
