//! `cargo xtask demo` with the binaries that were built for the tests.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use lopside_e2e::{binaries, binary, failure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn demo(out: &Path) -> Command {
    let mut command = binary("xtask");
    command.args(["demo", "--json", "--binaries"]).arg(binaries()).arg("--out").arg(out);
    command
}

/// The processes of a group, by `/proc`: the fifth field of `stat`, counted after the name in parentheses.
fn group(id: u32) -> Vec<String> {
    let stats = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let member = |stat: &String| {
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        fields.split_whitespace().nth(2).is_some_and(|group| group == id.to_string())
    };
    stats.filter(member).collect()
}

#[test]
fn it_ends_with_a_report_and_nothing_left_running() {
    let out = tempfile::tempdir().unwrap();
    let mut child = demo(out.path()).process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let report: Value = serde_json::from_reader(child.stdout.take().unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(report["pictures"].as_array().unwrap().len(), 16);
    assert!(out.path().join("contact-sheet.png").is_file());
    assert_eq!(group(child.id()), Vec::<String>::new());
}

#[test]
fn an_interrupt_stops_every_process() {
    let out = tempfile::tempdir().unwrap();
    let mut child = demo(out.path())
        .process_group(0)
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("ready")), "the server never became ready");
    // As Ctrl-C would, but to the command alone: it has to see to the others.
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    // Its stderr is open as long as one of its processes lives.
    let rest: Vec<String> = log.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert_eq!(group(child.id()), Vec::<String>::new());
}

#[test]
fn a_failure_stops_the_server_too() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // The reports cannot be written below a file.
    let error = failure(&mut demo(&file.path().join("out")));
    assert!(error.contains("edge-encoder") && error.contains("ended with"), "{error}");
}
