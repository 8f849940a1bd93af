//! `cargo xtask test`.

use std::path::Path;

use crate::{Result, models, python, runtime, workspace::cargo};

/// Versions of what the test of the REST interfaces needs.
const SCHEMATHESIS: &str = "xtask/schemathesis.txt";

/// Builds the binaries that the end-to-end tests start, then runs every test. All targets at once, because cargo
/// would choose other features for the binaries alone and compile the dependencies twice.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (library, models) = (runtime::library()?, models::folder()?);
    let schemathesis = python::environment(SCHEMATHESIS, "schemathesis")?;
    let client = python::triton()?;
    cargo(&["build", "--release", "--workspace", "--all-targets"], &[])?;
    let mut test = vec!["test", "--release", "--workspace"];
    test.extend(args.iter().map(String::as_str));
    let environment = [
        ("ORT_DYLIB_PATH", &*library),
        ("LOPSIDE_MODELS", &models),
        ("LOPSIDE_SCHEMATHESIS_PYTHON", &schemathesis),
        ("LOPSIDE_TRITONCLIENT_PYTHON", &client.python),
        ("LOPSIDE_PERF_ANALYZER_LIBRARIES", Path::new(&client.libraries)),
    ];
    cargo(&test, &environment)
}
