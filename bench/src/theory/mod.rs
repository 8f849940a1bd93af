//! Trains and measures every row of the theory table in `training/README.md`.
//!
//! ```text
//! training/theory/rows.toml ─► Row ─training bundle─► figures/ID.json (Record) ─► README's table, log.txt
//! ```
//! A row is measured again only if its command or its model's definition has changed, so that the bench can
//! be stopped and restarted; two instances with different `--rows` may run side by side.

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

use self::{record::RowRecord, row::TheoryRow};
use crate::{
    BenchError,
    error::{TheoryError, io_error},
};

/// The folder of the rows, their models and their figures.
const THEORY_FOLDER: &str = "training/theory";
/// The file that contains the table.
const README_PATH: &str = "training/README.md";

/// The command-line options of `bench theory`.
#[derive(Debug, Args)]
pub(crate) struct TheoryArgs {
    /// Ids of the rows to measure, from training/theory/rows.toml [default: all rows]
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    rows: Vec<String>,
    /// Folder of the data sets, one subfolder each; missing data sets are downloaded
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// Folder for runs and bundles
    #[arg(long, default_value = "runs/theory", value_name = "DIR")]
    runs: PathBuf,
    /// Measure rows again that already have figures
    #[arg(long)]
    again: bool,
}

/// Measures the rows without up-to-date figures and writes the table.
pub(crate) fn run(options: &TheoryArgs) -> Result<(), BenchError> {
    let folder = Path::new(THEORY_FOLDER);
    let rows = row::read_rows(folder)?;
    if let Some(unknown) = options.rows.iter().find(|id| !rows.iter().any(|row| row.id == **id)) {
        return Err(TheoryError::UnknownRow { id: unknown.clone() }.into());
    }
    for row in rows.iter().filter(|row| options.rows.is_empty() || options.rows.contains(&row.id)) {
        if options.again
            || !RowRecord::read(folder, &row.id)?.is_some_and(|record| record.is_current(row, Path::new("")))
        {
            eprintln!("{}: {}", row.id, row.command());
            run::measure_row(row, options)?.write(folder)?;
        }
    }
    write_results(folder, &rows)
}

/// Writes the table and the log with the figures that exist.
fn write_results(folder: &Path, rows: &[TheoryRow]) -> Result<(), BenchError> {
    let records = record::read_all(folder, rows)?;
    let path = Path::new(README_PATH);
    let readme = fs::read_to_string(path).map_err(io_error(path))?;
    let table = table::render_table(rows, &records);
    println!("{table}");
    let readme =
        table::replace_table(&readme, &table).ok_or(TheoryError::MissingMarks { path: README_PATH })?;
    fs::write(path, readme).map_err(io_error(path))?;
    let path = folder.join("log.txt");
    fs::write(&path, log::render(rows, &records)).map_err(io_error(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the workspace's root, in which the bench runs.
    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn the_table_and_the_log_match_the_figures() {
        let folder = root().join(THEORY_FOLDER);
        let rows = row::read_rows(&folder).unwrap();
        let records = record::read_all(&folder, &rows).unwrap();
        let missing: Vec<&str> =
            rows.iter().filter(|row| !records.contains_key(&row.id)).map(|row| &*row.id).collect();
        assert!(missing.is_empty(), "rows without figures: {missing:?}; run `cargo xtask bench theory`");
        let readme = fs::read_to_string(root().join(README_PATH)).unwrap();
        assert_eq!(table::replace_table(&readme, &table::render_table(&rows, &records)).unwrap(), readme);
        assert_eq!(log::render(&rows, &records), fs::read_to_string(folder.join("log.txt")).unwrap());
    }

    #[test]
    fn every_figure_is_of_the_current_definition_and_command() {
        let folder = root().join(THEORY_FOLDER);
        for row in row::read_rows(&folder).unwrap() {
            let record = RowRecord::read(&folder, &row.id).unwrap().unwrap();
            assert!(
                record.is_current(&row, root()),
                "row {}: the figures are out of date; run `cargo xtask bench theory --rows {}`",
                row.id,
                row.id
            );
        }
    }
}
