//! Wheels from PyPI, unpacked into the cache.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Result, processes, workspace::root};

/// Downloads the wheels that a requirements file pins and unpacks them into one folder. pip checks their digests. The
/// folder appears atomically.
pub(crate) fn fetch(pin: &str, folder: &Path) -> Result<()> {
    let temporary = folder.with_extension(format!("new-{}", std::process::id()));
    let wheels = temporary.join("wheels");
    fs::create_dir_all(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    let result = download(pin, &wheels, "3.12", env::consts::ARCH)
        .and_then(|()| unpack(&wheels, &temporary))
        .and_then(|()| {
            let _ = fs::remove_dir_all(&wheels);
            let _ = fs::remove_dir_all(folder);
            fs::rename(&temporary, folder).map_err(|error| format!("{}: {error}", folder.display()))
        });
    let _ = fs::remove_dir_all(&temporary);
    result
}

/// Returns the version of a package that a requirements file pins.
pub(crate) fn version(pin: &str, package: &str) -> Result<String> {
    lopside_python::pinned_version(&root().join(pin), package)
}

/// Downloads the wheels that a requirements file pins, for a Python version such as `3.12` and a processor.
pub(crate) fn download(pin: &str, wheels: &Path, python_version: &str, architecture: &str) -> Result<()> {
    let (platform, abi) =
        (format!("manylinux_2_28_{architecture}"), format!("cp{}", python_version.replace('.', "")));
    let options =
        ["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"];
    let python_options =
        ["--implementation", "cp", "--python-version", python_version, "--abi", &abi, "--abi", "abi3"];
    let mut command = Command::new("python3");
    command.args(options).args(python_options).args(["--abi", "none", "--platform", &platform]);
    command.arg("-d").arg(wheels).arg("-r").arg(root().join(pin));
    processes::run(command.stdout(Stdio::null()))
        .map_err(|error| format!("pip could not download the wheels of {pin} ({error})"))
}

fn unpack(wheels: &Path, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    let wheels: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    if wheels.is_empty() {
        return Err("pip did not download any wheels".to_owned());
    }
    wheels.iter().try_for_each(|wheel| {
        processes::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder))
    })
}
