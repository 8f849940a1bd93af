use std::time::SystemTime;

use lopside_bundle::TableSpec;

use super::{counts::RowCounts, error::CsvError, layout::TableRow};

/// Number of refused lines before the first row that may belong to the head of a table.
const MAX_HEAD_LINES: u64 = 64;

/// Decides which rows of a table follow each other. A series ends where the time makes a leap, at a line that is no row,
/// and at a row with a missing number that is not replaced.
#[derive(Debug)]
pub struct RowFilter {
    max_gap_seconds: Option<f64>,
    max_held_rows: u32,
    last_time: Option<f64>,
    /// The numbers of the last row of the series; empty between two series.
    last_values: Vec<f32>,
    /// Number of rows in succession in which a number was replaced.
    held_rows: u32,
    counts: RowCounts,
    /// Number of refused lines before the columns were known. They are no rows if a header follows.
    head_lines: u64,
    first_refused: Option<RefusedRow>,
    last_refused: Option<RefusedRow>,
}

/// A line that was refused, or a row that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The line, from 1; 0 if the error does not concern a single line.
    pub line: u64,
    /// The reason, without the line.
    pub reason: String,
    /// Text of the whole error.
    pub message: String,
}

/// A row of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesRow {
    /// Whether the row does not follow the one before it, so that no window may contain both.
    pub begins_series: bool,
    /// One finite number per channel.
    pub values: Vec<f32>,
    /// The moment of the row, if it is known.
    pub measured_at: Option<SystemTime>,
}

impl RowFilter {
    /// Creates a filter for tables of this form.
    #[must_use]
    pub fn new(table: &TableSpec) -> Self {
        Self {
            max_gap_seconds: table.max_gap_seconds,
            max_held_rows: table.max_held_rows.unwrap_or_default(),
            last_time: None,
            last_values: Vec::new(),
            held_rows: 0,
            counts: RowCounts::default(),
            head_lines: 0,
            first_refused: None,
            last_refused: None,
        }
    }

    /// Accepts a row, or leaves it out. The series has ended if the row is left out.
    pub fn accept(&mut self, row: TableRow) -> Option<SeriesRow> {
        self.end_head(row.has_known_columns);
        let TableRow { line, values, time, measured_at, missing, .. } = row;
        if self.is_gap(time) {
            self.counts.gaps += 1;
            self.last_values.clear();
        }
        self.last_time = time;
        let Some((column, cell)) = missing else {
            self.held_rows = 0;
            return Some(self.continue_series(values, measured_at));
        };
        if !self.last_values.is_empty() && self.held_rows < self.max_held_rows {
            self.held_rows += 1;
            self.counts.held += 1;
            let last_values = self.last_values.iter().copied();
            let held = values.into_iter().zip(last_values);
            let values = held.map(|(value, last)| if value.is_finite() { value } else { last }).collect();
            return Some(self.continue_series(values, measured_at));
        }
        self.counts.missing += 1;
        self.record_refusal(&CsvError::InvalidNumber { line, column, cell });
        None
    }

    /// Counts a line that is no row; the series has ended. A line before the columns are known counts only if no header
    /// follows: it may belong to the head of the table.
    pub fn refuse(&mut self, error: &CsvError, are_columns_found: bool) {
        let may_be_head = !are_columns_found
            && self.counts == RowCounts::default()
            && !error.is_header_error()
            && !matches!(error, CsvError::LostColumns { .. });
        if may_be_head && self.head_lines < MAX_HEAD_LINES {
            self.head_lines += 1;
        } else {
            self.end_head(false);
            self.counts.refused += 1;
        }
        self.record_refusal(error);
    }

    /// Counts the refused lines of a table that has ended.
    pub fn finish(&mut self) {
        self.end_head(false);
    }

    /// Returns the counts, without the rows that were accepted.
    #[must_use]
    pub fn counts(&self) -> RowCounts {
        self.counts
    }

    /// Returns the first line that was refused or left out.
    #[must_use]
    pub fn first_refused(&self) -> Option<&RefusedRow> {
        self.first_refused.as_ref()
    }

    /// Returns the last line that was refused or left out.
    #[must_use]
    pub fn last_refused(&self) -> Option<&RefusedRow> {
        self.last_refused.as_ref()
    }

    fn is_gap(&self, time: Option<f64>) -> bool {
        let (Some(last), Some(time), Some(max_gap)) = (self.last_time, time, self.max_gap_seconds) else {
            return false;
        };
        let step = time - last;
        // Times may have fewer digits than the rows need, so a step of 0 is no leap. The sum of a fraction has an error.
        step < 0.0 || step > max_gap * (1.0 + 1e-9)
    }

    fn continue_series(&mut self, values: Vec<f32>, measured_at: Option<SystemTime>) -> SeriesRow {
        let begins_series = self.last_values.is_empty();
        self.last_values.clone_from(&values);
        SeriesRow { begins_series, values, measured_at }
    }

    /// Settles the refused lines before the first row: they belong to the head if the columns have names.
    fn end_head(&mut self, has_known_columns: bool) {
        let head_lines = std::mem::take(&mut self.head_lines);
        if !has_known_columns {
            self.counts.refused += head_lines;
        } else if head_lines > 0 {
            (self.first_refused, self.last_refused) = (None, None);
        }
    }

    fn record_refusal(&mut self, error: &CsvError) {
        self.last_values.clear();
        self.held_rows = 0;
        let refused = RefusedRow {
            line: error.line().unwrap_or_default(),
            reason: error.reason(),
            message: error.to_string(),
        };
        self.first_refused.get_or_insert_with(|| refused.clone());
        self.last_refused = Some(refused);
    }
}
