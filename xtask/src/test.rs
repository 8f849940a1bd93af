//! `cargo xtask test`.

use crate::{Result, models, runtime, workspace::cargo};

/// Builds the binaries that the end-to-end tests start, then runs every test. All targets at once, because cargo
/// would choose other features for the binaries alone and compile the dependencies twice.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (library, models) = (runtime::library()?, models::folder()?);
    cargo(&["build", "--release", "--workspace", "--all-targets"], &[])?;
    let mut test = vec!["test", "--release", "--workspace"];
    test.extend(args.iter().map(String::as_str));
    cargo(&test, &[("ORT_DYLIB_PATH", &library), ("LOPSIDE_MODELS", &models)])
}
