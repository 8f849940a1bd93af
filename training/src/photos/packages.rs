//! Debian packages as files: downloads them with `apt-get`, reads and unpacks them with `dpkg-deb`. Nothing
//! is installed, so only write access to the folder is needed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::sources::DebianPackage;
use crate::{PackageError, TrainingError, error::io_error};

/// Downloads the newest versions of the packages that apt knows to `folder`.
///
/// # Errors
/// [`PackageError::DebianCommand`] when `apt-get` is missing or fails.
pub(super) fn download(packages: &[&DebianPackage], folder: &Path) -> Result<(), PackageError> {
    let mut command = Command::new("apt-get");
    command.args(["download", "-q"]).args(packages.iter().map(|package| package.name)).current_dir(folder);
    run_command(command).map(drop)
}

/// Returns the path of a package's only `.deb` file in `folder`.
///
/// # Errors
/// [`PackageError::DebFileCount`] when the folder does not contain exactly one, [`TrainingError::Io`].
pub(super) fn find_deb(package: &'static DebianPackage, folder: &Path) -> Result<PathBuf, TrainingError> {
    let prefix = format!("{}_", package.name);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error(folder))? {
        let entry = entry.map_err(io_error(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && entry.path().extension().is_some_and(|extension| extension == "deb") {
            found.push(entry.path());
        }
    }
    match found.as_slice() {
        [path] => Ok(path.clone()),
        _ => Err(PackageError::DebFileCount {
            folder: folder.to_owned(),
            package: package.name,
            version: package.version,
            found: found.len(),
        }
        .into()),
    }
}

/// Returns the version in a `.deb` file, epoch included.
///
/// # Errors
/// [`PackageError::DebianCommand`] when `dpkg-deb` is missing or cannot read the file.
pub(super) fn deb_version(deb: &Path) -> Result<String, PackageError> {
    let mut command = Command::new("dpkg-deb");
    command.arg("-f").arg(deb).arg("Version");
    run_command(command)
}

/// Unpacks a `.deb` file below `folder`.
///
/// # Errors
/// [`PackageError::DebianCommand`] when `dpkg-deb` is missing or cannot read the file.
pub(super) fn unpack(deb: &Path, folder: &Path) -> Result<(), PackageError> {
    let mut command = Command::new("dpkg-deb");
    command.arg("-x").arg(deb).arg(folder);
    run_command(command).map(drop)
}

/// Runs a command and returns its standard output, trimmed.
fn run_command(mut command: Command) -> Result<String, PackageError> {
    let reason = match command.output() {
        Ok(output) if output.status.success() => {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let program = command.get_program().to_string_lossy().into_owned();
    Err(PackageError::DebianCommand { program, reason })
}

#[cfg(test)]
mod tests {
    use super::{super::sources::PACKAGES, *};

    #[test]
    fn a_missing_program_is_named_with_the_remedy() {
        let error = run_command(Command::new("no-such-apt-get")).unwrap_err().to_string();
        assert!(error.contains("no-such-apt-get") && error.contains("--photos DIR"), "{error}");
    }

    #[test]
    fn the_stderr_of_a_failing_program_is_reported() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such package >&2; exit 3"]);
        assert!(run_command(command).unwrap_err().to_string().contains("no such package"));
    }

    #[test]
    fn zero_or_two_versions_of_a_package_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [package, ..] = PACKAGES;
        let error = find_deb(package, folder.path()).unwrap_err();
        assert!(
            matches!(error, TrainingError::Package(PackageError::DebFileCount { found: 0, .. })),
            "{error}"
        );
        assert!(error.to_string().contains(package.version), "{error}");
        for version in ["1", "2"] {
            fs::write(folder.path().join(format!("{}_{version}_all.deb", package.name)), "").unwrap();
        }
        let error = find_deb(package, folder.path()).unwrap_err();
        assert!(
            matches!(error, TrainingError::Package(PackageError::DebFileCount { found: 2, .. })),
            "{error}"
        );
    }
}
