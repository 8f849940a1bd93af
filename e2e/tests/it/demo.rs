//! `cargo xtask demo` with the binaries that were built for the tests.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use lopside_e2e::{binaries_folder, binary_command, in_clone, run_failing};
use lopside_quality::psnr;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PHOTOS: [&str; 2] = ["blossom", "tulips"];

fn demo(out: &Path) -> Command {
    let mut command = binary_command("xtask");
    command.args(["demo", "--json", "--binaries"]).arg(binaries_folder()).arg("--out").arg(out);
    command
}

/// Returns the processes of a group, which is the fifth field of `/proc/PID/stat`, the third one after the
/// name in parentheses.
fn processes_of_group(id: u32) -> Vec<String> {
    let stats = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let is_member = |stat: &String| {
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        fields.split_whitespace().nth(2).is_some_and(|group| group == id.to_string())
    };
    stats.filter(is_member).collect()
}

#[test]
fn the_demo_ends_with_reports_and_without_running_processes() {
    let out = tempfile::tempdir().unwrap();
    let mut child = demo(out.path()).process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = serde_json::Deserializer::from_reader(child.stdout.take().unwrap());
    let reports: Vec<Value> = stdout.into_iter().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    assert_eq!(processes_of_group(child.id()), Vec::<String>::new());

    assert_eq!(reports[0]["pictures"].as_array().unwrap().len(), 16);
    assert!(out.path().join("contact-sheet.png").is_file());

    let (outage, rows) = reports[1..].split_last().unwrap();
    assert_eq!(outage["outage"], serde_json::json!({"frames": 16, "waited": 8, "archived": 16}));
    let rows: Vec<&[Value]> = rows.chunks(3).collect();
    assert_eq!(rows.len(), PHOTOS.len());
    for (name, rows) in PHOTOS.into_iter().zip(rows) {
        assert_eq!(rows[0]["picture"], name);
        check_codec_comparison(rows, &out.path().join("photo").join(format!("{name}.png")));
    }
    let sheet = image::open(out.path().join("photo.png")).unwrap();
    // Four images per row with margins of 8, and one row per photograph, each with a label of 28.
    assert_eq!((sheet.width(), sheet.height()), (8 + 4 * 508, 8 + 2 * 536));
}

/// Checks that our frame has a better quality than JPEG and WebP files of the same size. The PSNR is measured
/// again.
fn check_codec_comparison(rows: &[Value], reconstruction: &Path) {
    let codecs: Vec<&str> = rows.iter().map(|row| row["codec"].as_str().unwrap()).collect();
    assert_eq!(codecs, ["Lopside", "JPEG 4:2:0", "WebP, method 6"]);
    let [ours, jpeg, webp] = [0, 1, 2].map(|row| rows[row]["bytes"].as_f64().unwrap());
    for peer in [jpeg, webp] {
        assert!(peer <= ours && peer > 0.93 * ours, "{rows:?}");
    }
    let [ours, jpeg, webp] = [0, 1, 2].map(|row| rows[row]["psnr_db"].as_f64().unwrap());
    assert!(ours > jpeg + 1.0 && ours > webp, "{rows:?}");
    let original = image::open(in_clone("samples/photo").join(reconstruction.file_name().unwrap())).unwrap();
    let found = psnr(&original, &image::open(reconstruction).unwrap()).unwrap();
    assert!((found - ours).abs() < 1e-6, "{found} {rows:?}");
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
    // The signal of Ctrl-C, but only to the command, which must stop the other processes.
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    // The log ends only after the last of the processes has ended.
    let rest: Vec<String> = log.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert_eq!(processes_of_group(child.id()), Vec::<String>::new());
}

#[test]
fn a_failure_stops_the_server_too() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Reports cannot be written to a folder below a file.
    let error = run_failing(&mut demo(&file.path().join("out")));
    assert!(error.contains("edge-encoder") && error.contains("ended with"), "{error}");
}
