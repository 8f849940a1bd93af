//! Images through `edge-encoder encode` and `edge-encoder send`.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use lopside_e2e::{CloudDecoder, binary_command, in_clone, run_command};
use lopside_quality::psnr;
use serde_json::Value;

use super::{
    case::{Case, assert_none, by_options, images, label_of},
    expected::{find_problems, read_frames},
};

/// The exit status of a run in which some inputs failed.
const SOME_FAILED: i32 = 3;
/// The least similarity of a decoded image with the reference, in dB. A turned or tinted one has less.
const MIN_DECODED_DB: f64 = 22.0;

#[test]
fn encode_reads_or_refuses_every_image_as_the_library_does() {
    let mut problems = Vec::new();
    for (options, cases) in by_options(images()) {
        let (inputs, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for case in &cases {
            case.copy_into(inputs.path());
        }
        let mut command = command("encode", out.path());
        let output = run_command(command.args(Case::arguments(options)).arg(inputs.path()));
        let failures = check_run(&output, &cases);
        problems.extend(find_problems(&cases, &read_frames(out.path()), &failures));
    }
    assert_none(&problems);
}

#[test]
fn send_shows_every_image_as_its_reference() {
    let cloud = CloudDecoder::start(&[&in_clone("bundles/photo")]);
    let (inputs, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cases: Vec<&Case> = images().filter(|case| case.options.is_empty()).collect();
    for case in &cases {
        case.copy_into(inputs.path());
    }
    let mut command = command("send", out.path());
    command.args(["--quality", "90", "--endpoint", &cloud.url]);
    let output = run_command(command.arg(inputs.path()));
    let failures = check_run(&output, &cases);
    let problems: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let result = match failures.get(&case.label) {
                Some(message) if case.expects_message(message) => Ok(()),
                Some(message) => Err(message.clone()),
                None => compare_decoded(case, out.path()),
            };
            result.err().map(|text| format!("{}: {text}", case.file))
        })
        .collect();
    assert_none(&problems);
}

fn command(name: &str, out: &Path) -> Command {
    let mut command = binary_command("edge-encoder");
    command.arg(name).arg("--json").arg("--bundle").arg(in_clone("bundles/photo")).arg("--out").arg(out);
    command
}

/// Checks the exit status of a run, and returns the messages about the inputs that failed, by their labels.
fn check_run(output: &Output, cases: &[&Case]) -> BTreeMap<String, String> {
    let has_refusals = cases.iter().any(|case| case.is_refused());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(if has_refusals { SOME_FAILED } else { 0 }), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |failure: &Value, key: &str| failure[key].as_str().unwrap().to_owned();
    let failed = report["failed"].as_array().unwrap().iter();
    failed.map(|failure| (label_of(Path::new(&text(failure, "input"))), text(failure, "reason"))).collect()
}

/// Compares the image that came back from the cloud with the reference.
fn compare_decoded(case: &Case, folder: &Path) -> Result<(), String> {
    let Some((reference, _)) = case.reference_image() else { return Err("it is not refused".into()) };
    let mut paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = paths
        .find(|path| label_of(path) == case.label && path.extension().is_some_and(|ending| ending == "png"));
    let decoded = image::open(found.ok_or("there is no output")?).unwrap();
    let db = psnr(&decoded.into_rgb8().into(), &reference.into_rgb8().into())
        .map_err(|error| error.to_string())?;
    if db >= MIN_DECODED_DB { Ok(()) } else { Err(format!("{db:.1} dB")) }
}
