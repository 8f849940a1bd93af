use std::path::PathBuf;

/// An error of the theory table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TheoryError {
    /// The rows of the table could not be read.
    #[error("{path}: {reason}", path = path.display())]
    InvalidRows {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The requested row does not exist.
    #[error("--rows: there is no row {id:?}; training/theory/rows.toml lists all rows")]
    UnknownRow {
        /// The id of the row.
        id: String,
    },
    /// A row's model does not have a definition.
    #[error(
        "training/theory/rows.toml, row {row}: model = {model:?} is neither a preset with a definition nor a file"
    )]
    UnknownModel {
        /// The row.
        row: String,
        /// The model that the row names.
        model: String,
    },
    /// The options of a row's command were refused.
    #[error(transparent)]
    Options(#[from] clap::Error),
    /// The file does not contain the marks between which the table belongs.
    #[error(
        "{path} does not contain the lines <!-- theory --> and <!-- /theory -->: add them where the table belongs"
    )]
    MissingMarks {
        /// The file.
        path: &'static str,
    },
}
