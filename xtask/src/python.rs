//! Python environments of pinned packages, in the cache.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Result, processes, wheels,
    workspace::{cache, root},
};

/// The Python of an environment with what a requirements file names; made in the cache when it is not there yet. The
/// file pins `package`, whose version tells one environment from the next.
pub(crate) fn environment(pin: &str, package: &str) -> Result<PathBuf> {
    let name = Path::new(pin).file_stem().unwrap_or_default().to_string_lossy();
    let folder = cache()?.join(format!("{name}-{}", wheels::version(pin, package)?));
    let python = folder.join("bin/python");
    let ready = folder.join("lopside-ready");
    if !ready.is_file() {
        eprintln!("xtask: installing {name} into {}", folder.display());
        processes::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
            "-r",
        ]);
        processes::run(pip.arg(root().join(pin)))?;
        fs::write(&ready, "").map_err(|error| format!("{}: {error}", ready.display()))?;
    }
    Ok(python)
}
