//! Triton's client and load generator, for the tests.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, processes, python};

/// Versions of the packages.
const PIN: &str = "xtask/tritonclient.txt";
/// A library of Debian's that `perf_analyzer` needs.
const LIBB64: &str = "libb64.so.0d";

/// The client's Python, beside which `perf_analyzer` lies, and the folders of the libraries that this one needs.
pub(crate) struct Client {
    pub(crate) python: PathBuf,
    pub(crate) libraries: PathBuf,
}

/// Installs them into the cache when they are not there yet.
pub(crate) fn client() -> Result<Client> {
    let python = python::environment(PIN, "tritonclient[grpc,http]")?;
    let folder = python.ancestors().nth(2).unwrap_or(&python);
    let packages =
        fs::read_dir(folder.join("lib")).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut libraries: Vec<PathBuf> = packages
        .flatten()
        .map(|entry| entry.path().join("site-packages/nvidia/cuda_runtime/lib"))
        .filter(|path| path.is_dir())
        .collect();
    libraries.extend(libb64(folder)?);
    let libraries = env::join_paths(libraries).map_err(|error| error.to_string())?.into();
    Ok(Client { python, libraries })
}

/// The folder of libb64, fetched when the system has none; that needs no root.
fn libb64(folder: &Path) -> Result<Option<PathBuf>> {
    let lib = format!("lib/{}-linux-gnu", env::consts::ARCH);
    if ["/", "/usr"].iter().any(|root| Path::new(root).join(&lib).join(LIBB64).is_file()) {
        return Ok(None);
    }
    let folder = folder.join("debian");
    let library = folder.join("usr").join(&lib);
    if !library.join(LIBB64).is_file() {
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let fetch = "apt-get download -qq libb64-0d && dpkg -x libb64-0d_*.deb .";
        processes::run(Command::new("sh").args(["-c", fetch]).current_dir(&folder))
            .map_err(|error| format!("perf_analyzer needs libb64: apt-get install libb64-0d ({error})"))?;
    }
    Ok(Some(library))
}
