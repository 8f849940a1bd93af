//! Triton's client and its load generator, `perf_analyzer`.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{RunCommand, pinned_python, site_packages};

/// The requirements file with the pinned versions, relative to the root of the repository.
const REQUIREMENTS: &str = "xtask/tritonclient.txt";
/// A Debian library that `perf_analyzer` needs.
const LIBB64: &str = "libb64.so.0d";

/// The paths of the installed client.
#[derive(Debug, Clone)]
pub struct TritonClient {
    /// The client's Python interpreter; `perf_analyzer` lies beside it.
    pub python: PathBuf,
    /// The folders of the libraries that `perf_analyzer` needs, in the format of `LD_LIBRARY_PATH`.
    pub libraries: OsString,
}

impl TritonClient {
    /// Installs the client into the cache unless it is installed already. `root` is the root of the
    /// repository.
    ///
    /// # Errors
    /// A message when a command fails.
    pub fn install(root: &Path, run: RunCommand<'_>) -> Result<Self, String> {
        let python = pinned_python(&root.join(REQUIREMENTS), "tritonclient[grpc,http]", run)?;
        let folder = python.ancestors().nth(2).unwrap_or(&python);
        let (packages, _) = site_packages(folder)?;
        let mut libraries = vec![packages.join("nvidia/cuda_runtime/lib")];
        libraries.extend(libb64_folder(folder, run)?);
        let libraries = env::join_paths(libraries).map_err(|error| error.to_string())?;
        Ok(Self { python, libraries })
    }

    /// Returns the command that starts `perf_analyzer`.
    #[must_use]
    pub fn perf_analyzer(&self) -> Command {
        let mut command = Command::new(self.python.with_file_name("perf_analyzer"));
        command.env("LD_LIBRARY_PATH", &self.libraries);
        command
    }
}

/// Returns the folder of libb64, which is downloaded if the system does not have the library; this does not
/// need root. `None` if the system has it.
fn libb64_folder(folder: &Path, run: RunCommand<'_>) -> Result<Option<PathBuf>, String> {
    let library_path = format!("lib/{}-linux-gnu", env::consts::ARCH);
    if ["/", "/usr"].iter().any(|root| Path::new(root).join(&library_path).join(LIBB64).is_file()) {
        return Ok(None);
    }
    let folder = folder.join("debian");
    let library = folder.join("usr").join(&library_path);
    if !library.join(LIBB64).is_file() {
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let fetch = "apt-get download -qq libb64-0d && dpkg -x libb64-0d_*.deb .";
        run(Command::new("sh").args(["-c", fetch]).current_dir(&folder)).map_err(|error| {
            format!("perf_analyzer needs libb64: install it with `apt-get install libb64-0d` ({error})")
        })?;
    }
    Ok(Some(library))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_to_a_version() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(REQUIREMENTS);
        let text = fs::read_to_string(path).unwrap();
        let packages: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(packages.iter().all(|package| package.contains("==")), "{packages:?}");
        assert!(packages.iter().any(|package| package.starts_with("tritonclient")));
    }
}
