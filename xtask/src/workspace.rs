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

/// Runs cargo in the clone's root.
pub(crate) fn cargo(args: &[&str], env: &[(&str, &Path)]) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(args).envs(env.iter().copied());
    processes::run(&mut command)
}
