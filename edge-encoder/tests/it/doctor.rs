//! Findings of `edge-encoder doctor`, and what it leaves behind.

use std::{fs, process::Command};

use super::update::{
    agent::Home,
    bundles::{Toy, bundle},
};

/// An address that is not the loopback address, at which nothing listens.
const OTHER_HOST: &str = "http://0.0.0.0:9";

#[test]
fn an_api_key_that_is_sent_unencrypted_is_a_finding() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    for (url, expected) in [(OTHER_HOST, "poor"), ("http://127.0.0.1:9", "good")] {
        let mut home = Home::new(url);
        home.set_variable("LOPSIDE_API_KEY", "lps_secret");
        let (verdict, found) = home.doctor(&toy, "key");
        assert_eq!(verdict, expected, "{url}: {found}");
        assert!(found.contains(url) && !found.contains("lps_secret"), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_warns_of_an_api_key_that_is_sent_unencrypted() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    for (url, is_warned) in [(OTHER_HOST, true), ("http://127.0.0.1:9", false)] {
        let mut home = Home::new(url);
        home.set_variable("LOPSIDE_API_KEY", "lps_secret");
        let log = home.path("log");
        let agent = home.start_logging(&toy, fs::File::create(&log).unwrap());
        agent.until(|_| true).await;
        agent.stop();
        let log = fs::read_to_string(&log).unwrap();
        assert_eq!(log.contains("the API key is sent unencrypted"), is_warned, "{log}");
        assert!(!log.contains("lps_secret"), "{log}");
    }
}

#[test]
fn a_disk_that_accepts_no_data_is_a_finding_and_no_file_stays() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let home = Home::new("http://127.0.0.1:9");
    let doctor = home.command("doctor", &toy);
    // Like a full disk: files can be created, but not written.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\" --json"])
        .arg(doctor.get_program())
        .args(doctor.get_args())
        .output()
        .unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let disk = findings.iter().find(|finding| finding["what"] == "disk").unwrap();
    assert_eq!(disk["verdict"], "bad", "{disk}");
    for folder in ["spool", "updates"] {
        assert_eq!(fs::read_dir(home.path(folder)).unwrap().count(), 0, "{folder}");
    }
}
