//! Every line of the theory, trained and measured: the table of `training/README.md`.
//!
//! ```text
//! training/theory/rows.toml ─► Row ─training bundle─► figures/ID.json (Record) ─► README's table, log.txt
//! ```
//! A row is done again only when its command or its model's definition has changed, so that the bench can be stopped
//! and started; two of them with different `--rows` may run side by side.

mod baseline;
mod log;
mod record;
mod row;
mod run;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use self::{record::Record, row::Row};
use crate::{BenchError, error::io};

/// The rows, their models and their figures.
const FOLDER: &str = "training/theory";
/// Where the table is.
const README: &str = "training/README.md";

/// Options of `theory`.
#[derive(Debug, Args)]
pub(crate) struct TheoryOptions {
    /// Only these rows, by the ids in training/theory/rows.toml
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    rows: Vec<String>,
    /// Where the data sets are, or else go: a folder each
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// Where runs and bundles go
    #[arg(long, default_value = "runs/theory", value_name = "DIR")]
    runs: PathBuf,
    /// Measure rows again whose figures are there
    #[arg(long)]
    again: bool,
}

/// Measures the rows that are missing and writes the table when all are there.
pub(crate) fn run(options: &TheoryOptions) -> Result<(), BenchError> {
    let folder = Path::new(FOLDER);
    let rows = row::read(folder)?;
    if let Some(unknown) = options.rows.iter().find(|id| !rows.iter().any(|row| row.id == **id)) {
        return Err(BenchError::NoRow { id: unknown.clone() });
    }
    for row in rows.iter().filter(|row| options.rows.is_empty() || options.rows.contains(&row.id)) {
        if options.again
            || !Record::read(folder, &row.id)?.is_some_and(|record| record.is_of(row, Path::new("")))
        {
            eprintln!("{}: {}", row.id, row.command());
            run::measure(row, options)?.write(folder)?;
        }
    }
    write(folder, &rows)
}

/// Table and log, from the figures that are there.
fn write(folder: &Path, rows: &[Row]) -> Result<(), BenchError> {
    let records = record::all(folder, rows)?;
    let path = Path::new(README);
    let readme = fs::read_to_string(path).map_err(io(path))?;
    let table = table::render(rows, &records);
    println!("{table}");
    let readme = table::replaced(&readme, &table).ok_or(BenchError::NoMarks { path: README })?;
    fs::write(path, readme).map_err(io(path))?;
    let path = folder.join("log.txt");
    fs::write(&path, log::render(rows, &records)).map_err(io(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The workspace's root, where the bench runs.
    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn the_table_and_the_log_are_those_of_the_figures() {
        let folder = root().join(FOLDER);
        let rows = row::read(&folder).unwrap();
        let records = record::all(&folder, &rows).unwrap();
        let missing: Vec<&str> =
            rows.iter().filter(|row| !records.contains_key(&row.id)).map(|row| &*row.id).collect();
        assert!(missing.is_empty(), "no figures of {missing:?}: cargo xtask bench theory");
        let readme = fs::read_to_string(root().join(README)).unwrap();
        assert_eq!(table::replaced(&readme, &table::render(&rows, &records)).unwrap(), readme);
        assert_eq!(log::render(&rows, &records), fs::read_to_string(folder.join("log.txt")).unwrap());
    }

    #[test]
    fn every_figure_is_of_the_definition_and_command_that_are_there() {
        let folder = root().join(FOLDER);
        for row in row::read(&folder).unwrap() {
            let record = Record::read(&folder, &row.id).unwrap().unwrap();
            assert!(record.is_of(&row, root()), "{}: cargo xtask bench theory --rows {}", row.id, row.id);
        }
    }
}
