//! Growing files: whether they can be read, and whether the position in them can be kept.

use std::path::Path;

use rustix::fs::{Access, access};

use super::Finding;
use crate::agent::TailSettings;

/// Checks a growing file and the place of its position.
pub(super) fn examine(subject: &str, tail: &TailSettings) -> Finding {
    let (path, position_file) = (&tail.path, &tail.position_file);
    let found = path.display();
    let folder = folder_of(position_file);
    if let Err(error) = access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        let found = format!(
            "the position cannot be kept in {}: {}: {error}",
            position_file.display(),
            folder.display()
        );
        let fix = "allow this user to write to the folder, or write position_file = a file in a folder that the user can \
                   write to";
        return Finding::bad(subject, found, fix);
    }
    if path.is_dir() {
        let fix = "give the file that a program appends rows to, or use folder for finished files";
        return Finding::bad(subject, format!("{found} is a folder"), fix);
    }
    if !path.exists() && folder_of(path).is_dir() {
        let fix = "the agent waits for the file; check its path if the logger has written already";
        return Finding::poor(subject, format!("{found} does not exist yet"), fix);
    }
    match access(path, Access::READ_OK) {
        Ok(()) => Finding::good(subject, found),
        Err(error) => {
            let fix = "create the folder of the file, and allow this user to read the file";
            Finding::bad(subject, format!("{found}: {error}"), fix)
        }
    }
}

/// Returns the folder that contains a file.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    #[test]
    fn a_file_that_cannot_be_followed_is_named_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("log.csv"), "x\n").unwrap();
        let examine = |path: PathBuf, position_file: PathBuf| {
            let Finding { found, fix, .. } = examine("source meter", &TailSettings { path, position_file });
            fix.map(|fix| format!("{found}; {fix}"))
        };
        assert_eq!(examine(place("log.csv"), place(".position")), None);
        for (path, position_file, expected) in [
            (place("later.csv"), place(".position"), "does not exist yet"),
            (folder.path().to_owned(), place(".position"), "is a folder"),
            (place("log.csv"), place("absent/position"), "the position cannot be kept"),
            (place("absent/log.csv"), place(".position"), "create the folder"),
        ] {
            let found = examine(path, position_file).unwrap();
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }
}
