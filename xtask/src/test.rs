//! `cargo xtask test`.

use crate::{Result, runtime, workspace::cargo};

/// Builds the binaries that the end-to-end tests start, then runs every test. Tests and demo share one profile, so
/// a clone compiles its dependencies once.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let library = runtime::library()?;
    cargo(&["build", "--release", "--workspace", "--bins"], &[])?;
    let mut test = vec!["test", "--release", "--workspace"];
    test.extend(args.iter().map(String::as_str));
    cargo(&test, &[("ORT_DYLIB_PATH", &library)])
}
