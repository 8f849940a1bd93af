//! The windows of a table. [`csv_rows`](lopside_input::csv_rows) has the rules about lines, columns and series.

use std::{path::Path, time::SystemTime};

use lopside_bundle::{TableSpec, TimeSeriesSpec};
use lopside_input::{
    InputLimits,
    csv_rows::{CsvError, CsvLimits, CsvRows, RefusedRow, RowCounts, RowFilter, TableRow, WindowSchedule},
};

use super::{InputError, check_input_count, error::invalid_file, npy_array::reserve, open_reader};

/// Maximum number of bytes per line of a CSV file.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What has become of the rows of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableReport {
    /// The numbers of rows.
    pub rows: RowCounts,
    /// The first line that was refused or left out.
    pub first_refused: Option<RefusedRow>,
}

/// The rows of a table, and the windows among them.
pub(super) struct TableWindows {
    /// The numbers of the rows, row-major.
    pub(super) numbers: Vec<f32>,
    /// The place of the first number of each window.
    pub(super) starts: Vec<usize>,
    /// The moment of the last row of each window, if it is known.
    pub(super) measured_at: Vec<Option<SystemTime>>,
}

/// Reads the windows of a CSV file. The report says what has become of its rows, also if there are no windows.
pub(super) fn read_table(
    path: &Path,
    series: &TimeSeriesSpec,
    table: &TableSpec,
    limits: &InputLimits,
    report: &mut TableReport,
) -> Result<TableWindows, InputError> {
    if let Some(problem) = table.problem(series.channels.len()) {
        return Err(invalid_file(path, &format!("the form of the table: {problem}")));
    }
    let csv_limits = CsvLimits { line_bytes: MAX_LINE_BYTES, file_bytes: limits.max_file_bytes };
    let channels = series.channels.clone();
    let mut rows = CsvRows::with_table(open_reader(path, limits)?, csv_limits, channels, table);
    let mut builder = TableBuilder::new(series, table, limits);
    loop {
        match rows.next_table_row() {
            Ok(Some(row)) => builder.push(path, row)?,
            Ok(None) => match rows.unread_header() {
                Some(error) => return Err(csv_error(path, &series.channels, &error)),
                None => break,
            },
            Err(error) if error.ends_table() => return Err(csv_error(path, &series.channels, &error)),
            Err(error) => builder.refuse(&error, rows.are_columns_found()),
        }
    }
    let windows = builder.finish(report);
    if windows.starts.is_empty() {
        return Err(no_windows(path, series.length, report));
    }
    check_input_count(path, windows.starts.len() as u64, limits)?;
    Ok(windows)
}

struct TableBuilder {
    channel_count: usize,
    window_values: usize,
    max_values: usize,
    filter: RowFilter,
    schedule: WindowSchedule,
    windows: TableWindows,
    /// The moment of the last row of the series.
    last_measured_at: Option<SystemTime>,
}

impl TableBuilder {
    fn new(series: &TimeSeriesSpec, table: &TableSpec, limits: &InputLimits) -> Self {
        let channel_count = series.channels.len();
        Self {
            channel_count,
            window_values: series.length as usize * channel_count,
            max_values: usize::try_from(limits.max_values).unwrap_or(usize::MAX),
            filter: RowFilter::new(table),
            schedule: WindowSchedule::new(u64::from(series.length), u64::from(series.stride)),
            windows: TableWindows { numbers: Vec::new(), starts: Vec::new(), measured_at: Vec::new() },
            last_measured_at: None,
        }
    }

    fn push(&mut self, path: &Path, row: TableRow) -> Result<(), InputError> {
        let Some(row) = self.filter.accept(row) else {
            self.end_series();
            return Ok(());
        };
        if row.begins_series {
            self.end_series();
        }
        let numbers = &mut self.windows.numbers;
        if self.channel_count > self.max_values - numbers.len() {
            let max_values = self.max_values;
            return Err(invalid_file(
                path,
                &format!("it has over {max_values} numbers, the limit: split it"),
            ));
        }
        reserve(numbers, self.channel_count, self.max_values);
        numbers.extend(row.values);
        self.last_measured_at = row.measured_at;
        if self.schedule.push() {
            self.complete_window();
        }
        Ok(())
    }

    fn refuse(&mut self, error: &CsvError, are_columns_found: bool) {
        self.filter.refuse(error, are_columns_found);
        self.end_series();
    }

    fn finish(mut self, report: &mut TableReport) -> TableWindows {
        self.filter.finish();
        self.end_series();
        let rows = RowCounts {
            used: self.schedule.used_rows(),
            unused: self.schedule.unused_rows(),
            ..self.filter.counts()
        };
        *report = TableReport { rows, first_refused: self.filter.first_refused().cloned() };
        self.windows
    }

    fn end_series(&mut self) {
        if self.schedule.end_series() {
            self.complete_window();
        }
    }

    fn complete_window(&mut self) {
        let TableWindows { numbers, starts, measured_at } = &mut self.windows;
        starts.push(numbers.len() - self.window_values);
        measured_at.push(self.last_measured_at);
    }
}

/// Says that some rows of a file are in no window. The agent counts them instead, and if all of them are in none, the
/// error says it.
pub(super) fn log_report(path: &Path, report: &TableReport) {
    let RowCounts { used, unused, missing, refused, held, gaps, .. } = report.rows;
    let first = report.first_refused.as_ref().map(|first| first.message.as_str()).unwrap_or_default();
    if used > 0 && (report.rows.dropped() > 0 || held > 0) {
        tracing::warn!(
            file = %path.display(), used, unused, missing, refused, held, gaps, first_refused = first,
            "some rows are in no window, or have replaced numbers"
        );
    }
}

fn no_windows(path: &Path, length: u32, report: &TableReport) -> InputError {
    let RowCounts { used, unused, missing, refused, gaps, .. } = report.rows;
    let rows = used + unused;
    let reason = match &report.first_refused {
        Some(first) => format!(
            "{}; {refused} lines were refused and {missing} have a missing number, and no {length} of the other {rows} rows \
             follow each other without a gap",
            first.message
        ),
        None if gaps > 0 => {
            format!("it has {rows} rows, but no {length} of them follow each other without a gap of the time")
        }
        None => format!(
            "it has {rows} rows, but a window has {length}: if a program appends rows to the file, follow it with a source \
             with the key tail"
        ),
    };
    invalid_file(path, &reason)
}

fn csv_error(path: &Path, channels: &[String], error: &CsvError) -> InputError {
    match error {
        CsvError::MissingChannels { line, columns, missing } => {
            let names = channels.join(", ");
            let reason = format!(
                "line {line}: it has {columns} columns and no header that names all of the channels: {names}; it lacks \
                 {missing}"
            );
            invalid_file(path, &reason)
        }
        other => invalid_file(path, &other.to_string()),
    }
}
