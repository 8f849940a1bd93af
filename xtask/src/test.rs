//! `cargo xtask test`: runs all tests, with the tools that they need.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use crate::{Result, datasets, ffmpeg, models, postgres, python, runtime, workspace};

/// Versions of the packages that the test of the REST interfaces needs.
const SCHEMATHESIS: &str = "xtask/schemathesis.txt";
/// Versions of the packages that generate and run a Python client.
const CLIENT_GENERATOR: &str = "xtask/openapi-python-client.txt";

/// The environment variables of the tests, and the tests that are skipped.
#[derive(Debug, Default)]
struct Plan {
    environment: Vec<(&'static str, OsString)>,
    skipped_filters: Vec<&'static str>,
    is_strict: bool,
}

/// Builds the binaries that the end-to-end tests start, then runs every test. Tests whose tools cannot be installed are
/// skipped, and one line per part reports this; with `is_strict`, it is an error.
pub(crate) fn run(is_strict: bool, args: &[String]) -> Result<()> {
    let plan = Plan::prepare(is_strict)?;
    workspace::cargo(&["build", "--release", "--workspace", "--all-targets"], &[])?;
    let environment: Vec<(&str, &Path)> =
        plan.environment.iter().map(|(name, value)| (*name, Path::new(value))).collect();
    let mut cargo_args = vec!["test", "--release", "--workspace"];
    cargo_args.extend(args.iter().map(String::as_str));
    cargo_args.extend(plan.skip_args(args.iter().any(|arg| arg == "--")));
    workspace::cargo(&cargo_args, &environment)
}

impl Plan {
    fn prepare(is_strict: bool) -> Result<Self> {
        let mut plan = Self { is_strict, ..Self::default() };
        plan.set("ORT_DYLIB_PATH", runtime::library()?);
        plan.set("LOPSIDE_MODELS", models::folder()?);
        match postgres::programs() {
            Ok(programs) => plan.set("LOPSIDE_POSTGRES", programs),
            Err(error) => {
                plan.skip_part("the archive on PostgreSQL", "all_cases_hold_with_postgresql", &error)?;
            }
        }
        match datasets::folder() {
            Ok(packages) => {
                if let Err(error) = datasets::add_digits(&packages) {
                    plan.skip_part("the digits data set", "digits_have_eight_training_images", &error)?;
                }
                plan.set("LOPSIDE_PACKAGES", packages);
            }
            Err(error) => plan.skip_part("data sets from packages", "data_packages::", &error)?,
        }
        match python::environment(SCHEMATHESIS, "schemathesis") {
            Ok(python) => plan.set("LOPSIDE_SCHEMATHESIS_PYTHON", python),
            Err(error) => plan.skip_part("the REST interfaces", "schemathesis::", &error)?,
        }
        match python::environment(CLIENT_GENERATOR, "openapi-python-client") {
            Ok(python) => plan.set("LOPSIDE_CLIENT_GENERATOR_PYTHON", python),
            Err(error) => plan.skip_part("generated Python clients", "generated_clients::python", &error)?,
        }
        match python::typescript() {
            Ok(tools) => {
                plan.set("LOPSIDE_NODE", tools.node);
                plan.set("LOPSIDE_TYPESCRIPT_PACKAGES", tools.packages);
            }
            Err(error) => {
                plan.skip_part("generated TypeScript clients", "generated_clients::typescript", &error)?;
            }
        }
        let ffmpeg = if is_strict { ffmpeg::program() } else { ffmpeg::installed() };
        match ffmpeg {
            Ok(program) => plan.set("LOPSIDE_FFMPEG", program),
            Err(error) => {
                plan.skip_part("MJPEG and RTSP from ffmpeg", "inputs::endurance::every_image", &error)?;
            }
        }
        match python::triton() {
            Ok(client) => {
                plan.set("LOPSIDE_TRITONCLIENT_PYTHON", client.python);
                plan.set("LOPSIDE_PERF_ANALYZER_LIBRARIES", client.libraries);
            }
            Err(error) => plan.skip_part("Triton's client and perf_analyzer", "tritonclient::", &error)?,
        }
        Ok(plan)
    }

    fn set(&mut self, name: &'static str, value: impl AsRef<OsStr>) {
        self.environment.push((name, value.as_ref().to_owned()));
    }

    /// Skips the tests whose names contain `filter`.
    fn skip_part(&mut self, part: &str, filter: &'static str, error: &str) -> Result<()> {
        if self.is_strict {
            return Err(format!("the tests of {part} cannot run: {error}"));
        }
        eprintln!("xtask: skipping the tests of {part}: {error}");
        self.skipped_filters.push(filter);
        Ok(())
    }

    /// Returns the arguments for the test binaries, after a `--` unless the command line already has one.
    fn skip_args(&self, has_separator: bool) -> Vec<&str> {
        let separator = (!has_separator && !self.skipped_filters.is_empty()).then_some("--");
        separator
            .into_iter()
            .chain(self.skipped_filters.iter().flat_map(|filter| ["--skip", *filter]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_without_its_tools_is_skipped_and_in_strict_mode_an_error() {
        let mut plan = Plan::default();
        assert!(plan.skip_args(false).is_empty());
        plan.skip_part("one", "one::", "no tool").unwrap();
        assert_eq!(plan.skip_args(false), ["--", "--skip", "one::"]);
        assert_eq!(plan.skip_args(true), ["--skip", "one::"]);
        let mut strict = Plan { is_strict: true, ..Plan::default() };
        let error = strict.skip_part("one", "one::", "no tool").unwrap_err();
        assert_eq!(error, "the tests of one cannot run: no tool");
    }
}
