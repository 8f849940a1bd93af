//! Triton's client and its load generator work with cloud-decoder without changes.

use std::{env, fs, path::Path, process::Command};

use lopside_e2e::{CloudDecoder, encode_samples, in_clone, run_stdout, sample_frame};

fn required_variable(name: &str) -> std::ffi::OsString {
    env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run the tests with `cargo xtask test`"))
}

fn address(cloud: &CloudDecoder) -> &str {
    cloud.url.strip_prefix("http://").unwrap()
}

#[test]
fn every_kind_of_request_of_the_client_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let _ = encode_samples("samples/fashion", folder.path());
    let cloud = CloudDecoder::start(&[&in_clone("bundles/fashion")]);
    let mut client = Command::new(required_variable("LOPSIDE_TRITONCLIENT_PYTHON"));
    client.arg(in_clone("e2e/clients/triton.py")).arg(address(&cloud)).arg(folder.path());
    let text = run_stdout(&mut client);
    assert_eq!(text.lines().filter(|line| line.starts_with("ok: ")).count(), 18, "{text}");
}

#[test]
fn perf_analyzer_measures_over_grpc_rest_and_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let frame = sample_frame();
    let cloud = CloudDecoder::start(&[&in_clone("bundles/fashion")]);
    let data = folder.path().join("frames.json");
    // The wire format of the tensor: each element is preceded by its length.
    let tensor = [&(frame.len() as u32).to_le_bytes(), frame.as_slice()].concat();
    let tensor = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, tensor);
    fs::write(&data, format!(r#"{{"data":[{{"frame":{{"content":{{"b64":"{tensor}"}},"shape":[1]}}}}]}}"#))
        .unwrap();
    let python = required_variable("LOPSIDE_TRITONCLIENT_PYTHON");
    let analyzer = Path::new(&python).with_file_name("perf_analyzer");
    for (model, options) in [
        ("fashion.reconstruct", vec!["-i", "grpc"]),
        ("fashion.reconstruct", vec!["-i", "http"]),
        ("fashion.reconstruct", vec!["-i", "grpc", "--streaming", "--async"]),
        ("fashion.reconstruct.frame", vec!["-i", "grpc", "--input-data", data.to_str().unwrap()]),
    ] {
        let table = folder.path().join("table.csv");
        let mut command = Command::new(&analyzer);
        command.env("LD_LIBRARY_PATH", required_variable("LOPSIDE_PERF_ANALYZER_LIBRARIES"));
        command.args(["-m", model, "-u", address(&cloud), "--concurrency-range", "4", "-p", "500"]);
        // Any three windows are accepted: the test checks that requests succeed, not their speed.
        command.args(["--stability-percentage", "999", "-f"]).arg(&table).args(&options);
        let text = run_stdout(&mut command);
        let table = fs::read_to_string(&table).unwrap_or_else(|error| panic!("{error}: {text}"));
        let row: Vec<&str> = table.lines().nth(1).unwrap().split(',').collect();
        let rate: f64 = row[1].parse().unwrap();
        assert!(
            row[0] == "4" && rate > 0.0 && text.contains("Successful request count"),
            "{options:?}: {text}"
        );
    }
}
