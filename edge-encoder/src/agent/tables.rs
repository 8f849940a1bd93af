//! The inputs of a file, and what has become of the rows of a table.

use lopside_encoder::{AnyEncoder, source::NamedInputs};

use super::{input::PendingFile, source_state::SourceState};
use crate::EdgeError;

/// A line of a table that was refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path}: {first}; {refused} lines of this table were refused. The other rows are encoded, and the file is put aside"
)]
struct RefusedLines {
    path: String,
    first: String,
    refused: u64,
}

/// Opens the inputs of a file. The rows of a table are counted once, however often the file is tried.
pub(super) fn open_inputs(
    encoder: &AnyEncoder,
    file: &mut PendingFile,
    source: &SourceState,
) -> Result<NamedInputs, EdgeError> {
    let path = file.source_file.path().to_owned();
    let listed = encoder.list(std::slice::from_ref(&path), &[])?.files.into_iter().next();
    let Some(listed) = listed else {
        // A list of one file that is no input is an error, so this has no inputs either.
        return Ok(Box::new(std::iter::empty()));
    };
    let table = source.table.merged_over(&encoder.table());
    let (inputs, report) = encoder.open_table(&listed, &table, &source.image_policy);
    if !std::mem::replace(&mut file.are_rows_counted, true) {
        source.counters.add_file_rows(report.rows);
    }
    let refused = report.rows.refused;
    if refused > 0 && !std::mem::replace(&mut file.has_refused_rows, true) {
        let first = report.first_refused.map(|first| first.message).unwrap_or_default();
        source.report_problem(&RefusedLines { path: path.display().to_string(), first, refused });
    }
    Ok(inputs)
}
