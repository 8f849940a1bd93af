//! Where things are, and cargo.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, processes};

/// The clone's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Runs cargo in the clone's root. What the cargo that runs this program says of it (`CARGO_PKG_…`) is not passed on:
/// build scripts that look at such variables would run again, and with them half of the dependencies.
pub(crate) fn cargo(args: &[&str], env: &[(&str, &Path)]) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for (name, _) in env::vars_os().filter(|(name, _)| is_own(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.current_dir(root()).args(args).envs(env.iter().copied());
    processes::run(&mut command)
}

/// Builds release binaries. `--workspace` does not build more than these binaries; it makes cargo resolve the features of
/// the whole workspace, so that every command shares the dependencies that another one has compiled.
pub(crate) fn build_binaries(names: &[&str]) -> Result<()> {
    let bins = names.iter().flat_map(|name| ["--bin", name]);
    let args: Vec<&str> = ["build", "--release", "--workspace"].into_iter().chain(bins).collect();
    cargo(&args, &[])
}

/// Whether a variable is about the package that cargo runs.
fn is_own(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| variable.starts_with(prefix))
}
