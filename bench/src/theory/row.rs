//! A row of the table: a line of the theory, and what is trained to show it.

use std::{fs, path::Path};

use clap::Parser as _;
use serde::Deserialize;
use training::{
    cli::{self, Cli},
    definition::Blueprint,
};

use crate::{BenchError, error::io};

/// A row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// Its name, also of its files.
    pub(super) id: String,
    /// The line of the theory.
    pub(super) theory: String,
    /// A preset or the path of a definition.
    pub(super) model: String,
    /// More options of `training bundle`.
    #[serde(default)]
    pub(super) options: Vec<String>,
    /// The data set.
    pub(super) data: Set,
    /// What of the figures the table shows.
    pub(super) figure: Figure,
    /// What it is compared with beside what is measured on the same samples: another row.
    #[serde(default)]
    pub(super) beside: Option<String>,
    /// And figures of others, with their source.
    #[serde(default)]
    pub(super) published: Option<String>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    row: Vec<Row>,
}

/// A data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Set {
    FashionMnist,
    Mnist,
    Shuttle,
    InternalBleeding,
    Ecg,
}

/// What of the figures the table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Figure {
    /// The error of what comes back.
    Reconstruction,
    /// The PSNR beside that of bicubic enlargement.
    Enlarged,
    /// How many classes are right.
    Classes,
    /// What each number of layers is good for.
    Layers,
    /// The share of integers that are 0.
    Zeros,
    /// The norm of the gradient that reaches the encoder in the first epoch.
    Gradient,
    /// AUROC, every class in turn being the normal one.
    OneClass,
    /// AUROC of windows or rows.
    Series,
}

/// The rows of `folder/rows.toml`.
pub(super) fn read(folder: &Path) -> Result<Vec<Row>, BenchError> {
    let path = folder.join("rows.toml");
    let text = fs::read_to_string(&path).map_err(io(&path))?;
    let rows: Rows = toml::from_str(&text)
        .map_err(|error| BenchError::Rows { path: path.clone(), reason: error.to_string() })?;
    Ok(rows.row)
}

impl Row {
    /// The command behind `cargo run --release -p training --`, as a user would give it; N is each class in turn.
    pub(super) fn command(&self) -> String {
        let mut more = Vec::new();
        if let Some(name) = self.data.name() {
            more.extend(["--data".into(), format!("data/{name}")]);
        }
        if self.figure == Figure::OneClass {
            more.extend(["--normal".into(), "N".into()]);
        }
        self.words(more).collect::<Vec<_>>().join(" ")
    }

    /// The subcommand's words, with `more` before the row's own options.
    pub(super) fn words<T: From<String>>(&self, more: Vec<T>) -> impl Iterator<Item = T> {
        let first = ["bundle".to_owned(), "--preset".into(), self.model.clone()];
        first.into_iter().map(T::from).chain(more).chain(self.options.iter().cloned().map(T::from))
    }

    /// What its command trains, in the workspace at `root`.
    pub(super) fn blueprint(&self, root: &Path) -> Result<Blueprint, BenchError> {
        let cli = Cli::try_parse_from(
            std::iter::once("training".to_owned()).chain(self.at(root).words(Vec::new())),
        )?;
        let not_a_model = || BenchError::NoModel { row: self.id.clone(), model: self.model.clone() };
        match cli.command {
            cli::Command::Bundle(args) => {
                Ok(args.budget.of(args.train.blueprint()?.ok_or_else(not_a_model)?))
            }
            _ => Err(not_a_model()),
        }
    }

    /// The row with its definition's path from `root`.
    fn at(&self, root: &Path) -> Self {
        let path = root.join(&self.model);
        let model = if path.is_file() { path.display().to_string() } else { self.model.clone() };
        Self { model, ..self.clone() }
    }
}

impl Set {
    /// As `training data` calls it; nothing for what Debian installs.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::FashionMnist => None,
            Self::Mnist => Some("mnist"),
            Self::Shuttle => Some("shuttle"),
            Self::InternalBleeding => Some("internal-bleeding"),
            Self::Ecg => Some("ecg"),
        }
    }
}
