//! The commands `check` and `key`, run as processes.

use std::{fs, path::Path};

use cloud_decoder::auth::{Scope, generate_device_key, generate_key};
use serde_json::{Value, json};

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
    assert_eq!(report["archive"], Value::Null);

    let archive = "[archive]\nurl = 'postgres://me:secret@db/n'\ndays = 90\ndevice_frames = 7\n";
    fs::write(&config, format!("{settings}{archive}")).unwrap();
    let (ok, report) = check(&config);
    assert!(ok, "the database is not opened: {report}");
    let expected = json!({
        "database": "postgres://db/n",
        "max_age_days": 90,
        "max_bytes": null,
        "max_device_bytes": null,
        "max_device_frames": 7,
        "scores": true,
    });
    assert_eq!(report["archive"], expected);

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

#[test]
fn a_key_can_be_limited_to_devices() {
    let key = |arguments: &[&str]| cloud_decoder().args(["key", "gates"]).args(arguments).output().unwrap();
    let output = key(&["--allow", "ingest", "--device", "gate-*", "--device", "line-3"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.trim_end().ends_with("devices = [\"gate-*\", \"line-3\"]"), "{text}");
    let output = key(&["--device", "gate-*"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("--allow ingest"), "{error}");
}

#[test]
fn check_warns_about_keys_for_any_device_and_about_metrics_that_need_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let (config, keys) = (folder.path().join("cloud.toml"), folder.path().join("keys.toml"));
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundles/fashion");
    let settings = format!(
        "bundles = ['{}']\ndevice = 'cpu'\nthreads = 1\napi_keys = '{}'\n",
        bundle.display(),
        keys.display()
    );
    let any = generate_key("any", &[Scope::Ingest]).unwrap();
    let limited = generate_device_key("limited", &[Scope::Ingest], &["gate-*".to_owned()]).unwrap();
    fs::write(&keys, format!("{}{}", any.toml, limited.toml)).unwrap();
    fs::write(&config, format!("{settings}metrics_listen = '0.0.0.0:1'\n")).unwrap();
    let (ok, report) = check(&config);
    assert!(ok, "warnings do not prevent the start: {report}");
    let warnings = report["warnings"].to_string();
    assert_eq!(report["warnings"].as_array().unwrap().len(), 2, "{warnings}");
    assert!(warnings.contains("any device: \\\"any\\\";") && warnings.contains("metrics_open"), "{warnings}");
    assert_eq!(report["metrics"], json!({"listen": "0.0.0.0:1", "needs_key": true}));

    fs::write(&keys, &limited.toml).unwrap();
    fs::write(&config, format!("{settings}metrics_listen = '0.0.0.0:1'\nmetrics_open = true\n")).unwrap();
    let (_, report) = check(&config);
    assert_eq!(report["warnings"], json!([]));
    assert_eq!(report["metrics"]["needs_key"], false);
}
