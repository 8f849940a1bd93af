//! Triton's client and its load generator, `perf_analyzer`.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Run, pinned, site_packages};

/// Versions of the packages, from the root of the clone.
const PIN: &str = "xtask/tritonclient.txt";
/// A library of Debian's that `perf_analyzer` needs.
const LIBB64: &str = "libb64.so.0d";

/// Where they are.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client's Python, beside which `perf_analyzer` lies.
    pub python: PathBuf,
    /// The folders of the libraries that `perf_analyzer` needs, as `LD_LIBRARY_PATH` has them.
    pub libraries: OsString,
}

impl Client {
    /// Installs them into the cache when they are not there yet. `root` is the clone's.
    ///
    /// # Errors
    /// When a command fails.
    pub fn install(root: &Path, run: Run<'_>) -> Result<Self, String> {
        let python = pinned(&root.join(PIN), "tritonclient[grpc,http]", run)?;
        let folder = python.ancestors().nth(2).unwrap_or(&python);
        let (packages, _) = site_packages(folder)?;
        let mut libraries = vec![packages.join("nvidia/cuda_runtime/lib")];
        libraries.extend(libb64(folder, run)?);
        let libraries = env::join_paths(libraries).map_err(|error| error.to_string())?;
        Ok(Self { python, libraries })
    }

    /// `perf_analyzer`, as it is to be started.
    #[must_use]
    pub fn perf_analyzer(&self) -> Command {
        let mut command = Command::new(self.python.with_file_name("perf_analyzer"));
        command.env("LD_LIBRARY_PATH", &self.libraries);
        command
    }
}

/// The folder of libb64, fetched when the system has none; that needs no root.
fn libb64(folder: &Path, run: Run<'_>) -> Result<Option<PathBuf>, String> {
    let lib = format!("lib/{}-linux-gnu", env::consts::ARCH);
    if ["/", "/usr"].iter().any(|root| Path::new(root).join(&lib).join(LIBB64).is_file()) {
        return Ok(None);
    }
    let folder = folder.join("debian");
    let library = folder.join("usr").join(&lib);
    if !library.join(LIBB64).is_file() {
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let fetch = "apt-get download -qq libb64-0d && dpkg -x libb64-0d_*.deb .";
        run(Command::new("sh").args(["-c", fetch]).current_dir(&folder))
            .map_err(|error| format!("perf_analyzer needs libb64: apt-get install libb64-0d ({error})"))?;
    }
    Ok(Some(library))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_to_a_version() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PIN);
        let text = fs::read_to_string(path).unwrap();
        let packages: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(packages.iter().all(|package| package.contains("==")), "{packages:?}");
        assert!(packages.iter().any(|package| package.starts_with("tritonclient")));
    }
}
