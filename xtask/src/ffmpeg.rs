//! The program ffmpeg: of the machine, or pinned and in the cache.

use std::{env, path::PathBuf, process::Command};

use crate::{Result, python};

/// Version of the package that contains ffmpeg.
const PIN: &str = "xtask/ffmpeg.txt";
const PACKAGE: &str = "imageio-ffmpeg";
/// Prints the path of the program inside the package.
const PRINT_PATH: &str = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";

/// Returns the ffmpeg of this machine, or installs one into the cache.
pub(crate) fn program() -> Result<PathBuf> {
    if let Ok(program) = installed() {
        return Ok(program);
    }
    let python = python::environment(PIN, PACKAGE)?;
    let output = Command::new(&python).args(["-c", PRINT_PATH]).env_remove("IMAGEIO_FFMPEG_EXE").output();
    let output = output.map_err(|error| format!("{}: {error}", python.display()))?;
    let program = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("{PACKAGE} has no ffmpeg: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// Returns the ffmpeg of this machine.
pub(crate) fn installed() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut programs = env::split_paths(&path).map(|folder| folder.join("ffmpeg"));
    programs.find(|program| program.is_file()).ok_or_else(|| "ffmpeg is not installed".to_owned())
}
