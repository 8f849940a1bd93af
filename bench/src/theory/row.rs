//! A row of the theory table: a statement of the theory, and the training that demonstrates it.

use std::{fs, path::Path};

use clap::Parser as _;
use serde::Deserialize;
use training::{
    cli::{self, Cli},
    definition::Blueprint,
};

use crate::{
    BenchError,
    error::{TheoryError, io_error},
};

/// A row of the theory table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TheoryRow {
    /// The name of the row and of its files.
    pub(super) id: String,
    /// The statement of the theory.
    pub(super) theory: String,
    /// A preset or the path of a definition.
    pub(super) model: String,
    /// Additional options of `training bundle`.
    #[serde(default)]
    pub(super) options: Vec<String>,
    /// The data set.
    pub(super) data: DataSet,
    /// The figure that the table shows.
    pub(super) figure: Figure,
    /// The id of another row to compare with, in addition to the baselines on the same samples.
    #[serde(default)]
    pub(super) beside: Option<String>,
    /// Published figures to compare with, and their source.
    #[serde(default)]
    pub(super) published: Option<String>,
}

/// The contents of `rows.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowsFile {
    row: Vec<TheoryRow>,
}

/// A data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DataSet {
    FashionMnist,
    Mnist,
    Shuttle,
    InternalBleeding,
    Ecg,
}

/// The figure that the table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Figure {
    /// The reconstruction error.
    Reconstruction,
    /// The PSNR beside that of bicubic enlargement.
    Enlarged,
    /// The classification accuracy.
    Classes,
    /// Bytes, error and accuracy for each number of layers.
    Layers,
    /// The share of integers that are 0.
    Zeros,
    /// The norm of the gradient that reaches the encoder in the first epoch.
    Gradient,
    /// AUROC with each class in turn as the normal one.
    OneClass,
    /// AUROC of windows or rows of a time series.
    Series,
}

/// Reads the rows in `folder/rows.toml`.
pub(super) fn read_rows(folder: &Path) -> Result<Vec<TheoryRow>, BenchError> {
    let path = folder.join("rows.toml");
    let text = fs::read_to_string(&path).map_err(io_error(&path))?;
    let rows: RowsFile = toml::from_str(&text)
        .map_err(|error| TheoryError::InvalidRows { path: path.clone(), reason: error.to_string() })?;
    Ok(rows.row)
}

impl TheoryRow {
    /// Returns the arguments after `cargo run --release -p training --`, as a user would enter them; N stands
    /// for each class in turn.
    pub(super) fn command(&self) -> String {
        let mut extra = Vec::new();
        if let Some(name) = self.data.download_name() {
            extra.extend(["--data".into(), format!("data/{name}")]);
        }
        if self.figure == Figure::OneClass {
            extra.extend(["--normal".into(), "N".into()]);
        }
        self.command_words(extra).collect::<Vec<_>>().join(" ")
    }

    /// Returns the arguments of the subcommand, with `extra` before the row's own options.
    pub(super) fn command_words<T: From<String>>(&self, extra: Vec<T>) -> impl Iterator<Item = T> {
        let leading = ["bundle".to_owned(), "--preset".into(), self.model.clone()];
        leading.into_iter().map(T::from).chain(extra).chain(self.options.iter().cloned().map(T::from))
    }

    /// Returns the definition of the model that the command trains, in the workspace at `root`.
    pub(super) fn blueprint(&self, root: &Path) -> Result<Blueprint, BenchError> {
        let cli = Cli::try_parse_from(
            std::iter::once("training".to_owned()).chain(self.resolve_model(root).command_words(Vec::new())),
        )
        .map_err(TheoryError::Options)?;
        match cli.command {
            cli::Command::Bundle(args) => {
                let blueprint = args.train.blueprint()?.ok_or_else(|| self.unknown_model_error())?;
                Ok(args.budget.apply_to(blueprint))
            }
            _ => Err(self.unknown_model_error().into()),
        }
    }

    fn unknown_model_error(&self) -> TheoryError {
        TheoryError::UnknownModel { row: self.id.clone(), model: self.model.clone() }
    }

    /// Returns the row with the path of its definition resolved against `root`.
    fn resolve_model(&self, root: &Path) -> Self {
        let path = root.join(&self.model);
        let model = if path.is_file() { path.display().to_string() } else { self.model.clone() };
        Self { model, ..self.clone() }
    }
}

impl DataSet {
    /// Returns the name of the data set in `training data`; `None` for the data set that a Debian package
    /// installs.
    pub(super) const fn download_name(self) -> Option<&'static str> {
        match self {
            Self::FashionMnist => None,
            Self::Mnist => Some("mnist"),
            Self::Shuttle => Some("shuttle"),
            Self::InternalBleeding => Some("internal-bleeding"),
            Self::Ecg => Some("ecg"),
        }
    }
}
