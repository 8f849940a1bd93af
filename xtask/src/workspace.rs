//! The paths of the workspace, and calls of cargo.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, processes};

/// Returns the root of the clone.
pub(crate) fn root() -> PathBuf {
    let manifest_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_folder.parent().unwrap_or(manifest_folder).to_owned()
}

/// Returns the target folder of cargo.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Runs cargo in the root of the clone.
pub(crate) fn cargo(args: &[&str], env: &[(&str, &Path)]) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    remove_package_variables(&mut command);
    command.current_dir(root()).args(args).envs(env.iter().copied());
    processes::run(&mut command)
}

/// Removes the variables that the outer cargo sets for this program (`CARGO_PKG_…`) from a command that will run cargo again.
/// Otherwise build scripts that depend on them would run again, and half of the dependencies would be rebuilt.
pub(crate) fn remove_package_variables(command: &mut Command) {
    for (name, _) in env::vars_os().filter(|(name, _)| is_package_variable(&name.to_string_lossy())) {
        command.env_remove(name);
    }
}

/// Builds release binaries. `--workspace` does not build more than these binaries: it makes cargo resolve the features of
/// the whole workspace, so that all commands share their compiled dependencies.
pub(crate) fn build_binaries(names: &[&str]) -> Result<()> {
    let bins = names.iter().flat_map(|name| ["--bin", name]);
    let args: Vec<&str> = ["build", "--release", "--workspace"].into_iter().chain(bins).collect();
    cargo(&args, &[])
}

/// Returns whether a variable describes the package that cargo runs.
fn is_package_variable(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| variable.starts_with(prefix))
}
