//! Text from outside does not control the terminal of the operator: neither in the log nor in the output of commands.

use std::fs;

use super::update::{
    agent::Home,
    bundles::{Toy, bundle},
};

/// Clears the screen, and forges a line.
const HOSTILE_NAME: &str = "\u{1b}[2J\nedge-encoder: all is well\u{202e}\u{9b}1m.png";

/// Checks that a text contains the hostile name, but none of its characters that are not text.
fn assert_escaped(text: &str) {
    assert!(text.contains(r"\u{1b}[2J\nedge-encoder: all is well\u{202e}\u{9b}1m.png"), "{text:?}");
    let is_unsafe =
        |character: char| character != '\n' && (character.is_control() || character == '\u{202e}');
    assert!(!text.contains(is_unsafe), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("edge-encoder: all is well")), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_file_is_escaped_in_the_log_and_in_the_status() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let home = Home::new("http://127.0.0.1:9");
    let log = home.path("log");
    let agent = home.start_logging(&toy, fs::File::create(&log).unwrap());
    let part = home.path("part.png");
    fs::write(&part, "not an image").unwrap();
    fs::rename(part, home.path("inbox").join(HOSTILE_NAME)).unwrap();
    agent.until(|report| report.sources[0].last_error.is_some()).await;
    assert_escaped(&fs::read_to_string(&log).unwrap());
    let status = |args: &[&str]| {
        let output = home.command("status", &toy).args(args).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_escaped(&status(&[]));
    let json = status(&["--json"]);
    assert!(!json.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{json:?}");
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(report["sources"][0]["last_error"].as_str().unwrap().contains(HOSTILE_NAME), "{json}");
    agent.stop();
}

#[test]
fn the_name_of_a_file_is_escaped_in_an_error() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let home = Home::new("http://127.0.0.1:9");
    let file = home.path(HOSTILE_NAME);
    fs::write(&file, "not an image").unwrap();
    let output = home.command("encode", &toy).arg(file).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!error.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{error:?}");
    assert!(!error.lines().any(|line| line.starts_with("edge-encoder: all is well")), "{error:?}");
}
