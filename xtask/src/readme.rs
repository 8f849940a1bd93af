//! `cargo xtask readme`: runs the commands of the README as a reader would enter them.

use std::{fs, process::Command};

use crate::{
    Result, processes,
    workspace::{remove_package_variables, root},
};

/// The first line of a block whose commands are run. Blocks that need hours or other machines begin with `sh no-test`.
const TESTED: &str = "```sh";

/// Runs the blocks in one shell, one after the other, and stops at the first failure.
pub(crate) fn run() -> Result<()> {
    let path = root().join("README.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let script = script(&text);
    if script.is_empty() {
        return Err(format!(
            "{} does not contain a block of commands that begins with {TESTED}",
            path.display()
        ));
    }
    let mut shell = Command::new("bash");
    remove_package_variables(&mut shell);
    processes::run(shell.current_dir(root()).args(["-euxo", "pipefail", "-c", &script]))
}

fn script(text: &str) -> String {
    let mut script = String::new();
    let mut is_inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            is_inside = !is_inside && line == TESTED;
        } else if is_inside {
            script.push_str(line);
            script.push('\n');
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_blocks_are_commands() {
        let text =
            "a\n```sh\none\ntwo\n```\nb\n```sh no-test\nthree\n```\n```\nfour\n```\n```sh\nfive\n```\n";
        assert_eq!(script(text), "one\ntwo\nfive\n");
    }
}
