//! A bundle that cannot be served, in the log, the metrics and the report of `check`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    process::{ServerProcess, cloud_decoder},
    service::get,
};

/// A folder with a bundle whose manifest is not complete.
struct Damaged {
    folder: TempDir,
}

impl Damaged {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("broken")).unwrap();
        fs::write(folder.path().join("broken/bundle.json"), "{\"name\":").unwrap();
        Self { folder }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// Returns the report of `check` for this folder and other bundles.
    fn check(&self, arguments: &[&str]) -> (bool, Value) {
        let command = ["check", "--json", "--device", "cpu", "--threads", "1", "--bundle", self.path()];
        let output = cloud_decoder().args(command).args(arguments).output().unwrap();
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.success(), report)
    }
}

fn fashion() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundles/fashion")
}

#[tokio::test]
async fn a_refused_bundle_is_logged_and_counted() {
    let damaged = Damaged::new();
    let mut server = ServerProcess::start(&["--bundle", damaged.path()]);
    let line = server.wait_for_log("bundle refused");
    let folder = damaged.folder.path().join("broken");
    assert!(line.contains("ERROR") && line.contains(folder.to_str().unwrap()), "{line}");
    let metrics = get(&server.url, "/metrics").await.into_body().collect().await.unwrap().to_bytes();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    assert!(metrics.lines().any(|line| line == "lopside_bundles_refused 1"), "{metrics}");
}

#[test]
fn with_strict_a_refused_bundle_keeps_the_server_from_starting() {
    let damaged = Damaged::new();
    let fashion = fashion();
    for strict in ["--strict", "--strict=true"] {
        let mut command = cloud_decoder();
        command.args(["serve", "--device", "cpu", "--listen", "127.0.0.1:0", strict, "--bundle"]);
        let output = command.arg(&fashion).args(["--bundle", damaged.path()]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains("broken"), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn check_reports_a_refused_bundle_as_serve_would_treat_it() {
    let damaged = Damaged::new();
    let fashion = fashion();
    let fashion = ["--bundle", fashion.to_str().unwrap()];
    let (ok, report) = damaged.check(&fashion);
    assert!(ok && report["problems"].as_array().unwrap().is_empty(), "{report}");
    assert!(report["warnings"].to_string().contains("broken"), "{report}");
    assert_eq!(report["bundles"][0]["name"], "fashion");

    let (ok, report) = damaged.check(&[&fashion[..], &["--strict"]].concat());
    assert!(!ok && report["problems"].to_string().contains("broken"), "{report}");
    // Without another bundle, `serve` would not start.
    let (ok, report) = damaged.check(&[]);
    assert!(!ok && report["problems"].to_string().contains("broken"), "{report}");
}
