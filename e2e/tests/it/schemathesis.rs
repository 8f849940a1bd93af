//! schemathesis, which generates valid and invalid requests from the OpenAPI document, does not find an
//! error.

use std::{env, process::Command};

use lopside_e2e::{CloudDecoder, encode_samples, in_clone};

#[test]
fn responses_match_the_openapi_document() {
    let python = env::var_os("LOPSIDE_SCHEMATHESIS_PYTHON");
    let python =
        python.expect("LOPSIDE_SCHEMATHESIS_PYTHON is not set: run the tests with `cargo xtask test`");
    let folder = tempfile::tempdir().unwrap();
    let _ = encode_samples("samples/fashion", folder.path());

    let archive = format!("sqlite:{}", folder.path().join("archive.db").display());
    let mut cloud =
        CloudDecoder::start_with_env(&[&in_clone("bundles/fashion")], &[("LOPSIDE_ARCHIVE", &archive)]);
    let settings = in_clone("e2e/schemathesis").canonicalize().unwrap();
    let mut command = Command::new(python);
    command
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(settings.join("schemathesis.toml"));
    command.args(["run", "--checks", "all", "--continue-on-failure", "--max-examples", "50"]);
    // The seed makes the run reproducible.
    command.args(["--seed", "1"]).arg(format!("{}/openapi.json", cloud.url));
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", &settings);
    command.env("LOPSIDE_FRAMES", folder.path()).current_dir(folder.path());
    let report = command.output().unwrap();
    let (status, log) = cloud.stop();
    let text = String::from_utf8_lossy(&report.stdout);
    assert!(report.status.success(), "{text}\n{log}");
    assert!(status.success(), "{log}");
    assert!(text.contains("Selected: ") && !text.contains(" 0 generated"), "{text}");
}
