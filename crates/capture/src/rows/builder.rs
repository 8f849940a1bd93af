use std::{collections::VecDeque, time::SystemTime};

use lopside_input::csv_rows::{CsvError, RefusedRow, RowCounts, RowFilter, TableRow, WindowSchedule};

use super::WindowOptions;
use crate::InputCounts;

/// A window of rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowWindow {
    /// Row-major `[length, channels]`.
    pub(crate) values: Vec<f32>,
    /// The place of its first row in the table, in bytes.
    pub(crate) start: u64,
    /// The moment of its last row, if it is known.
    pub(crate) measured_at: Option<SystemTime>,
}

/// Builds windows from rows.
#[derive(Debug)]
pub(crate) struct WindowBuilder {
    channel_count: usize,
    window_rows: usize,
    filter: RowFilter,
    schedule: WindowSchedule,
    /// The values of the last rows of the series, at most one window.
    values: VecDeque<f32>,
    /// The places of these rows.
    starts: VecDeque<u64>,
    /// The moment of the last row.
    last_measured_at: Option<SystemTime>,
    /// Complete windows, at most two.
    ready: VecDeque<RowWindow>,
    window_count: u64,
}

impl WindowBuilder {
    pub(crate) fn new(options: &WindowOptions) -> Self {
        let WindowOptions { channels, window_rows, stride_rows, table } = options;
        Self {
            channel_count: channels.len(),
            window_rows: *window_rows,
            filter: RowFilter::new(table),
            schedule: WindowSchedule::new(*window_rows as u64, *stride_rows as u64),
            values: VecDeque::new(),
            starts: VecDeque::new(),
            last_measured_at: None,
            ready: VecDeque::new(),
            window_count: 0,
        }
    }

    /// Returns the next complete window.
    pub(crate) fn take_window(&mut self) -> Option<RowWindow> {
        self.ready.pop_front()
    }

    /// Returns whether a window is complete.
    pub(crate) fn has_window(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Adds a row that begins at this place of the table. A row that is left out is logged.
    pub(crate) fn push(&mut self, source: &str, row: TableRow, start: u64) {
        let Some(row) = self.filter.accept(row) else {
            self.report_refusal(source);
            self.end_series();
            return;
        };
        if row.begins_series {
            self.end_series();
        }
        if self.starts.len() == self.window_rows {
            self.starts.pop_front();
            self.values.drain(..self.channel_count);
        }
        self.starts.push_back(start);
        self.values.extend(row.values);
        self.last_measured_at = row.measured_at;
        if self.schedule.push() {
            self.complete_window();
        }
    }

    /// Refuses a line, and logs it; the series ends before it.
    pub(crate) fn refuse(&mut self, source: &str, error: &CsvError, are_columns_found: bool) {
        self.filter.refuse(error, are_columns_found);
        self.report_refusal(source);
        self.end_series();
    }

    /// Ends the table: its last rows may form one more window.
    pub(crate) fn finish(&mut self) {
        self.filter.finish();
        self.end_series();
    }

    pub(crate) fn counts(&self) -> InputCounts {
        let rows = RowCounts {
            used: self.schedule.used_rows(),
            waiting: self.schedule.waiting_rows(),
            unused: self.schedule.unused_rows(),
            ..self.filter.counts()
        };
        InputCounts { captured: self.window_count, damaged: rows.refused, rows, ..InputCounts::default() }
    }

    pub(crate) fn last_refused(&self) -> Option<&RefusedRow> {
        self.filter.last_refused()
    }

    /// Logs the last line that was refused or left out. The log stays small even if that happens to every line.
    fn report_refusal(&self, source: &str) {
        let counts = self.filter.counts();
        let (count, refused) = (counts.refused + counts.missing, self.filter.last_refused());
        if let Some(refused) = refused.filter(|_| count <= 1 || count.is_power_of_two()) {
            tracing::warn!(source, refused = count, "a row is in no window: {}", refused.message);
        }
    }

    fn end_series(&mut self) {
        if self.schedule.end_series() {
            self.complete_window();
        }
        self.values.clear();
        self.starts.clear();
    }

    fn complete_window(&mut self) {
        self.window_count += 1;
        self.ready.push_back(RowWindow {
            values: self.values.iter().copied().collect(),
            start: self.starts.front().copied().unwrap_or_default(),
            measured_at: self.last_measured_at,
        });
    }
}
