//! The peers and `perf_analyzer`, in the cache: a Python environment each, of the versions in `xtask/serving.txt`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{BenchError, error::io};

/// `NAME: PACKAGE==VERSION …`, a line an environment.
const PINS: &str = include_str!("../../../xtask/serving.txt");
/// Written last: the environment is whole.
const READY: &str = "lopside-ready";
const LIBB64: &str = "libb64.so.0d";

/// Where environments are kept: `LOPSIDE_CACHE`, or `lopside` in the user's cache folder.
pub(crate) fn cache() -> Result<PathBuf, BenchError> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("LOPSIDE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("lopside")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/lopside")))
        .ok_or_else(|| refused("the peers", "no cache folder: set LOPSIDE_CACHE to one"))
}

/// The environment of this name, installed when it is not there yet.
pub(crate) fn environment(name: &str) -> Result<PathBuf, BenchError> {
    let packages = packages(name).ok_or_else(|| refused(name, "xtask/serving.txt does not pin it"))?;
    let folder = cache()?.join("serving").join(name);
    let ready = folder.join(READY);
    let wanted = packages.join(" ");
    if fs::read_to_string(&ready).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    eprintln!("bench: installing {name} into {}", folder.display());
    run(name, Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
    run(name, Command::new(folder.join("bin/python")).args(pip).args(&packages))?;
    fs::write(&ready, wanted).map_err(io(&ready))?;
    Ok(folder)
}

/// Its `lib/pythonX.Y/site-packages`, and the `X.Y`.
pub(crate) fn site_packages(environment: &Path) -> Result<(PathBuf, String), BenchError> {
    let lib = environment.join("lib");
    let entries = fs::read_dir(&lib).map_err(io(&lib))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut versions = names.filter_map(|name| Some(name.strip_prefix("python")?.to_owned()));
    let version = versions.next().ok_or_else(|| refused("the peers", "an environment has no packages"))?;
    Ok((lib.join(format!("python{version}/site-packages")), version))
}

/// What `perf_analyzer` is started with: itself, and where its libraries are.
pub(crate) fn perf_analyzer() -> Result<Command, BenchError> {
    let environment = environment("perf-analyzer")?;
    let (packages, _) = site_packages(&environment)?;
    let mut libraries = vec![packages.join("nvidia/cuda_runtime/lib")];
    libraries.extend(libb64(&environment)?);
    let path = env::join_paths(libraries).map_err(|error| refused("perf_analyzer", &error.to_string()))?;
    let mut command = Command::new(environment.join("bin/perf_analyzer"));
    command.env("LD_LIBRARY_PATH", path);
    Ok(command)
}

/// The folder of Debian's libb64, fetched when the system has none; that needs no root.
fn libb64(environment: &Path) -> Result<Option<PathBuf>, BenchError> {
    let on_system = ["/lib", "/usr/lib"].map(|lib| Path::new(lib).join(multiarch()).join(LIBB64));
    if on_system.iter().any(|path| path.is_file()) {
        return Ok(None);
    }
    let folder = environment.join("debian");
    let library = folder.join("usr/lib").join(multiarch());
    if !library.join(LIBB64).is_file() {
        fs::create_dir_all(&folder).map_err(io(&folder))?;
        let fetch = "apt-get download -qq libb64-0d && dpkg -x libb64-0d_*.deb .";
        run("libb64-0d", Command::new("sh").args(["-c", fetch]).current_dir(&folder))
            .map_err(|_| refused("perf_analyzer", "it needs libb64: apt-get install libb64-0d"))?;
    }
    Ok(Some(library))
}

fn multiarch() -> String {
    format!("{}-linux-gnu", env::consts::ARCH)
}

/// The packages of an environment, as pip wants them.
fn packages(name: &str) -> Option<Vec<&'static str>> {
    let lines = PINS.lines().filter(|line| !line.starts_with('#'));
    let mut pins = lines.filter_map(|line| line.split_once(':'));
    pins.find(|(found, _)| *found == name).map(|(_, packages)| packages.split_whitespace().collect())
}

fn run(name: &str, command: &mut Command) -> Result<(), BenchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    // What they say is no result: stdout is kept for those.
    match command.stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(refused(name, &format!("{program} ended with {status}"))),
        Err(error) => Err(refused(name, &format!("{program}: {error}"))),
    }
}

fn refused(what: &str, reason: &str) -> BenchError {
    BenchError::Install { what: what.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::peers::PEERS;

    #[test]
    fn every_peer_is_pinned_to_a_version() {
        for name in PEERS.iter().map(|peer| peer.name).chain(["perf-analyzer"]) {
            let packages = packages(name).unwrap();
            assert!(packages.iter().all(|package| package.contains("==")), "{packages:?}");
        }
    }
}
