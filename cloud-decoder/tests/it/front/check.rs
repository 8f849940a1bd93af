//! The commands `check` and `key`, run as processes.

use std::{fs, path::Path};

use serde_json::Value;

use super::process::cloud_decoder;

fn check(config: &Path) -> (bool, Value) {
    let output = cloud_decoder().args(["check", "--json", "--config"]).arg(config).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (
        output.status.success(),
        report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))),
    )
}

#[test]
fn check_reports_the_settings_and_all_problems() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cloud.toml");
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundles/fashion");
    let settings =
        format!("bundles = ['{}']\ndevice = 'cpu'\nthreads = 1\nlisten = '127.0.0.1:1'\n", bundle.display());
    fs::write(&config, &settings).unwrap();
    let (ok, report) = check(&config);
    assert!(ok && report["ok"] == true, "{report}");
    assert_eq!((&report["listen"], &report["device"]), (&"http://127.0.0.1:1".into(), &"cpu".into()));
    assert_eq!(report["bundles"][0]["name"], "fashion");
    assert!(!report["bundles"][0]["heads"].as_array().unwrap().is_empty());

    let extra = "api_keys = 'nowhere.toml'\n[tls]\ncert = 'no.pem'\nkey = 'no.key'\n[connections]\nmax = 5\n";
    fs::write(&config, format!("{settings}{extra}")).unwrap();
    let (ok, report) = check(&config);
    assert!(!ok && report["ok"] == false, "{report}");
    let problems = report["problems"].to_string();
    assert!(
        problems.contains("no.pem") && problems.contains("nowhere.toml"),
        "all problems are reported at once: {problems}"
    );
    assert_eq!(
        (&report["connections"]["max"], &report["listen"]),
        (&5.into(), &"https://127.0.0.1:1".into())
    );
}

#[test]
fn a_generated_key_has_the_lines_for_the_key_file() {
    let output = cloud_decoder().args(["key", "line-3", "--allow", "infer,admin"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let (key, lines) = text.split_once("\n\n").unwrap();
    assert!(key.starts_with("lps_") && !lines.contains(key), "{text}");
    assert!(
        lines.starts_with("[[key]]\nname = \"line-3\"\n") && lines.contains("[\"infer\", \"admin\"]"),
        "{text}"
    );
    assert!(!cloud_decoder().args(["key", "two words"]).output().unwrap().status.success());
}
