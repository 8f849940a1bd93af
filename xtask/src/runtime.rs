//! The ONNX Runtime library, from PyPI's wheel.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Result, processes,
    workspace::{cache, root},
};

/// Version and SHA-256 of the wheels, for pip.
const PIN: &str = "xtask/onnxruntime.txt";

/// The library: `ORT_DYLIB_PATH`, or the pinned one in the cache, fetched when it is not there yet.
pub(crate) fn library() -> Result<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let version = version()?;
    let folder = cache()?.join(format!("onnxruntime-{version}-{}", env::consts::ARCH));
    let library = folder.join(format!("onnxruntime/capi/libonnxruntime.so.{version}"));
    if !library.is_file() {
        eprintln!("xtask: fetching ONNX Runtime {version} into {}", folder.display());
        fetch(&folder)?;
    }
    if library.is_file() { Ok(library) } else { Err(format!("the wheel has no {}", library.display())) }
}

fn version() -> Result<String> {
    let path = root().join(PIN);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("onnxruntime=="));
    let version = line.and_then(|rest| rest.split_whitespace().next());
    version.map(str::to_owned).ok_or_else(|| format!("{PIN} pins no onnxruntime"))
}

/// Downloads the wheel, which pip checks against its digest, and unpacks it; the folder appears whole or not at all.
fn fetch(folder: &Path) -> Result<()> {
    if env::consts::OS != "linux" {
        return Err("ONNX Runtime is fetched on Linux only: set ORT_DYLIB_PATH to your library".to_owned());
    }
    let fresh = folder.with_extension(format!("new-{}", std::process::id()));
    let wheels = fresh.join("wheels");
    fs::create_dir_all(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    let done = download(&wheels).and_then(|()| unpack(&wheels, &fresh)).and_then(|()| {
        let _ = fs::remove_dir_all(&wheels);
        let _ = fs::remove_dir_all(folder);
        fs::rename(&fresh, folder).map_err(|error| format!("{}: {error}", folder.display()))
    });
    let _ = fs::remove_dir_all(&fresh);
    done
}

fn download(wheels: &Path) -> Result<()> {
    let platform = format!("manylinux_2_28_{}", env::consts::ARCH);
    let fixed = ["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"];
    let python =
        ["--implementation", "cp", "--python-version", "3.12", "--abi", "cp312", "--platform", &platform];
    let mut command = Command::new("python3");
    command.args(fixed).args(python).arg("-d").arg(wheels).arg("-r").arg(root().join(PIN));
    processes::run(command.stdout(Stdio::null())).map_err(|error| {
        format!("ONNX Runtime was not fetched ({error}): Python 3 with pip is needed, or ORT_DYLIB_PATH set")
    })
}

fn unpack(wheels: &Path, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    let wheel = entries.flatten().next().ok_or("pip fetched nothing")?.path();
    processes::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder))
}
