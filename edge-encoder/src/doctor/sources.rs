use std::{
    env,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use super::Finding;
use crate::agent::{SourceKind, SourceSettings};

/// Checks whether the folder, program or device of a source is available.
pub(super) fn examine(source: &SourceSettings) -> Finding {
    let subject = format!("source {}", source.name);
    match &source.kind {
        SourceKind::Folder { path, .. } => examine_folder(&subject, path),
        SourceKind::Command { argv, .. } => {
            examine_command(&subject, argv.first().map_or("", String::as_str))
        }
        SourceKind::Stdin { .. } => Finding::good(subject, "standard input"),
        #[cfg(feature = "v4l")]
        SourceKind::Camera(options) => match std::fs::File::open(&options.device) {
            Ok(_) => Finding::good(subject, options.device.display()),
            Err(error) => {
                let found = format!("{}: {error}", options.device.display());
                Finding::bad(
                    subject,
                    found,
                    "connect the camera, and allow this user to read it (group video)",
                )
            }
        },
    }
}

fn examine_command(subject: &str, name: &str) -> Finding {
    let Some(path) = find_program(name) else {
        let found = format!("the program {name:?} was not found");
        return Finding::bad(subject, found, "install it, or give its full path in command");
    };
    Finding::good(subject, path.display())
}

fn examine_folder(subject: &str, path: &Path) -> Finding {
    let found = path.display();
    match access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if path.is_dir() => Finding::good(subject, found),
        Ok(()) => Finding::bad(subject, format!("{found} is not a folder"), "configure a folder"),
        Err(error) => Finding::bad(
            subject,
            format!("{found}: {error}"),
            "create the folder, and allow this user to read and write it",
        ),
    }
}

/// Returns the path of a program, found as a shell would find it.
fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| is_executable(path));
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}
