//! Programs as sources: whether they are installed, and whether they write images to their standard output.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::fs::{Access, access};

use super::{Finding, bridge};

/// Variables that the programs under check get: those that find libraries and configuration.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "HOME"];

/// Checks the program of a source; `max_silence` is its limit on silence, if it is stated.
pub(super) fn examine(subject: &str, argv: &[String], max_silence: Option<Duration>) -> Finding {
    let name = argv.first().map_or("", String::as_str);
    let Some(path) = find_program(name) else {
        let found = format!("the program {name:?} was not found");
        return Finding::bad(subject, found, "install it, or give its full path in command");
    };
    let found = path.display();
    if let Some(problem) = bridge::find_problem(argv, list_with) {
        let text = format!("{found}: {}", problem.found);
        return if problem.is_fatal {
            Finding::bad(subject, text, problem.fix)
        } else {
            Finding::poor(subject, text, problem.fix)
        };
    }
    if max_silence.is_none() {
        return Finding::poor(
            subject,
            format!("{found}: if it hangs, it is not started again"),
            "write silence_seconds = the longest time without an input from it, or 0 if it delivers only on events",
        );
    }
    Finding::good(subject, found)
}

/// Runs a program that lists what it can do, and returns its output; `None` if it fails.
fn list_with(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(find_program(program)?);
    command.args(arguments).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    for name in KEPT_VARIABLES {
        command.envs(env::var_os(name).map(|value| (name, value)));
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_program_without_a_limit_on_silence_is_poor() {
        let argv = ["sh".to_owned(), "-c".to_owned(), "cat picture.jpg".to_owned()];
        for (max_silence, verdict) in [
            (None, Verdict::Poor),
            (Some(Duration::ZERO), Verdict::Good),
            (Some(Duration::MAX), Verdict::Good),
        ] {
            assert_eq!(examine("source camera", &argv, max_silence).verdict, verdict, "{max_silence:?}");
        }
        let missing = ["/no/such/program".to_owned()];
        assert_eq!(examine("source camera", &missing, Some(Duration::ZERO)).verdict, Verdict::Bad);
    }
}
