//! Python environments with pinned packages, in the cache: tests and benches run programs in them beside our
//! own. Node.js comes from such an environment too.
//!
//! An environment is created once. The last file that is written marks it as complete; an environment without
//! that file, or with different contents in it, is created again. The caller supplies the function that runs
//! commands, because an interrupt must reach them.

pub mod node;
pub mod triton;

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs a command to its end; returns the reason if it fails.
pub type RunCommand<'a> = &'a dyn Fn(&mut Command) -> Result<(), String>;

/// The file that is written last; it marks the environment as complete.
const READY_FILE: &str = "lopside-ready";

/// Returns the cache folder: `LOPSIDE_CACHE`, or `lopside` in the user's cache folder.
///
/// # Errors
/// A message when none of the environment variables is set.
pub fn cache_folder() -> Result<PathBuf, String> {
    env_path("LOPSIDE_CACHE")
        .or_else(|| env_path("XDG_CACHE_HOME").map(|dir| dir.join("lopside")))
        .or_else(|| env_path("HOME").map(|dir| dir.join(".cache/lopside")))
        .ok_or_else(|| "there is no cache folder: set LOPSIDE_CACHE to a folder".to_owned())
}

/// Returns the version that a requirements file pins for a package.
///
/// # Errors
/// A message when the file cannot be read or does not pin the package.
pub fn pinned_version(pin: &Path, package: &str) -> Result<String, String> {
    let text = fs::read_to_string(pin).map_err(|error| format!("{}: {error}", pin.display()))?;
    let prefix = format!("{package}==");
    let line = text.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
    let version = line.and_then(|rest| rest.split_whitespace().next());
    version.map(str::to_owned).ok_or_else(|| format!("{} does not pin a version of {package}", pin.display()))
}

/// Returns the Python interpreter of an environment with the packages of a requirements file, which is
/// created in the cache unless it exists. The version of `package`, which the file must pin, is part of the
/// environment's name.
///
/// # Errors
/// A message when a command fails.
pub fn pinned_python(pin: &Path, package: &str, run: RunCommand<'_>) -> Result<PathBuf, String> {
    let name = pin.file_stem().unwrap_or_default().to_string_lossy();
    let folder = cache_folder()?.join(format!("{name}-{}", pinned_version(pin, package)?));
    ensure_environment(&folder, &[OsStr::new("-r"), pin.as_os_str()], "", run)?;
    Ok(folder.join("bin/python"))
}

/// Creates an environment in a folder, with `install` as the arguments of `pip install`. An environment whose
/// `marker` differs is created again.
///
/// # Errors
/// A message when a command fails.
pub fn ensure_environment(
    folder: &Path,
    install: &[impl AsRef<OsStr>],
    marker: &str,
    run: RunCommand<'_>,
) -> Result<(), String> {
    let marker_file = folder.join(READY_FILE);
    if fs::read_to_string(&marker_file).is_ok_and(|found| found == marker) {
        return Ok(());
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    eprintln!("installing {name} into {}", folder.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
    run(Command::new(folder.join("bin/python")).args(pip).args(install))?;
    fs::write(&marker_file, marker).map_err(|error| format!("{}: {error}", marker_file.display()))
}

/// Returns an environment's `lib/pythonX.Y/site-packages`, and the `X.Y`.
///
/// # Errors
/// A message when the environment does not contain this folder.
pub fn site_packages(environment: &Path) -> Result<(PathBuf, String), String> {
    let lib = environment.join("lib");
    let entries = fs::read_dir(&lib).map_err(|error| format!("{}: {error}", lib.display()))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut versions = names.filter_map(|name| Some(name.strip_prefix("python")?.to_owned()));
    let version = versions
        .next()
        .ok_or_else(|| format!("{} does not contain a lib/pythonX.Y folder", environment.display()))?;
    Ok((lib.join(format!("python{version}/site-packages")), version))
}

/// Returns the path in an environment variable; `None` if the variable is empty or not set.
fn env_path(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
