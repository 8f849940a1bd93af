//! Options that do not apply.
//!
//! Some options apply to one kind of model only, and the kind is known only when a preset, a run or a bundle has been read. An
//! option that was given and would have no effect is an error, because the user expects an effect.

use std::collections::BTreeSet;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, parser::ValueSource};

use super::Cli;
use crate::RunError;

/// The ids of the options that stand on the command line, without those from defaults and from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenOptions(BTreeSet<String>);

impl GivenOptions {
    /// Refuses the first of `options` that was given; `mode` names the kind of model for which they have no effect.
    ///
    /// # Errors
    /// [`RunError::NotApplicable`].
    pub fn refuse(&self, options: &[&str], mode: &'static str) -> Result<(), RunError> {
        match options.iter().find(|option| self.0.contains(**option)) {
            Some(option) => {
                Err(RunError::NotApplicable { option: format!("--{}", option.replace('_', "-")), mode })
            }
            None => Ok(()),
        }
    }

    fn from_matches(matches: &ArgMatches) -> Self {
        let mut names = BTreeSet::new();
        let mut level = Some(matches);
        while let Some(matches) = level {
            let ids = matches.ids().map(clap::Id::as_str);
            names.extend(
                ids.filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
                    .map(str::to_owned),
            );
            level = matches.subcommand().map(|(_, matches)| matches);
        }
        Self(names)
    }
}

impl Cli {
    /// Parses a command line, the program's name first.
    ///
    /// # Errors
    /// [`clap::Error`], whose `exit` prints it or the help.
    pub fn read<T: Into<std::ffi::OsString> + Clone>(
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let given = GivenOptions::from_matches(&matches);
        Ok(Self { given, ..Self::from_arg_matches(&matches)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_command_line_options_count_as_given() {
        let cli = Cli::read(["training", "train", "--epochs", "3"]).unwrap();
        assert!(cli.given.refuse(&["labels", "preset", "batch"], "any").is_ok());
        let error = cli.given.refuse(&["labels", "epochs"], "preset photo").unwrap_err().to_string();
        assert!(error.contains("--epochs") && error.contains("preset photo"), "{error}");
    }

    /// Runs a command that must be refused before it reads any file.
    fn refused(arguments: &str) -> String {
        crate::run(Cli::read(arguments.split(' ')).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn options_of_the_other_kind_of_model_are_refused() {
        for option in
            ["--epochs 3", "--loss bce", "--labels 9", "--normal 1", "--encoder-rate 1", "--decoder-rate 1"]
        {
            let error = refused(&format!("training train --preset photo {option}"));
            assert!(error.contains(option.split(' ').next().unwrap()), "{option}: {error}");
        }
        for option in [
            "--steps 3",
            "--crop 64",
            "--width 8",
            "--blocks 2",
            "--distortion mse",
            "--from a",
            "--until 3",
            "--decoder-only",
        ] {
            let error = refused(&format!("training train --preset fashion-dense {option}"));
            assert!(error.contains(option.split(' ').next().unwrap()), "{option}: {error}");
        }
        assert!(refused("training bundle --preset photo --frame-bytes 9").contains("--frame-bytes"));
        assert!(refused("training bundle --preset fashion-dense --tiles a").contains("--tiles"));
    }

    #[test]
    fn options_without_any_effect_do_not_exist() {
        for arguments in [
            "training finetune-decoder --width 8",
            "training finetune-decoder --blocks 8",
            "training export --onnxruntime a",
            "training split m.onnx --out a",
            "training split m.onnx --at x --all",
            "training split m.onnx --at x --mean 0.5",
        ] {
            assert!(Cli::read(arguments.split(' ')).is_err(), "{arguments}");
        }
    }
}
