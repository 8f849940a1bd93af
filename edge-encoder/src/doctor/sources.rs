use lopside_capture::folder::DoneAction;
use rustix::fs::{Access, access};

use super::{Finding, programs, tail};
use crate::agent::{FolderSettings, SourceKind, SourceSettings};

/// Checks whether the folder, program or device of a source is available.
pub(super) fn examine(source: &SourceSettings) -> Finding {
    let subject = format!("source {}", source.name);
    match &source.kind {
        SourceKind::Folder(folder) => examine_folder(&subject, folder),
        SourceKind::Command { argv, .. } => programs::examine(&subject, argv, source.max_silence),
        SourceKind::Stdin { .. } => Finding::good(subject, "standard input"),
        SourceKind::Tail(tail) => tail::examine(&subject, tail),
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

fn examine_folder(subject: &str, folder: &FolderSettings) -> Finding {
    let (path, found) = (&folder.path, folder.path.display());
    // Files that stay in place are listed, maybe in another folder, which the agent creates.
    let written = match &folder.after {
        DoneAction::Remember(list) => list.parent().filter(|parent| parent.exists()),
        DoneAction::Move(_) | DoneAction::Delete => Some(&**path),
    };
    if let Err(error) = access(path, Access::READ_OK | Access::EXEC_OK) {
        let fix = "create the folder, and allow this user to read and write it";
        return Finding::bad(subject, format!("{found}: {error}"), fix);
    }
    if !path.is_dir() {
        return Finding::bad(subject, format!("{found} is not a folder"), "configure a folder");
    }
    match written.map(|written| (written, access(written, Access::WRITE_OK | Access::EXEC_OK))) {
        Some((written, Err(error))) => Finding::bad(
            subject,
            format!("{found}: files that are done cannot be put away: {}: {error}", written.display()),
            "allow this user to write to the folder, or write after = \"remember\" and remembered_in = a file in a folder that \
             the user can write to",
        ),
        Some((_, Ok(()))) | None => Finding::good(subject, found),
    }
}
