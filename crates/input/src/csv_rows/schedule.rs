/// Decides where the windows of a table are. Windows begin every `stride` rows of a series; if the last of them does not
/// reach the end of the series, one more window ends there. A window never contains rows of two series.
#[derive(Debug, Clone)]
pub struct WindowSchedule {
    length: u64,
    stride: u64,
    /// Number of rows of the current series.
    series_rows: u64,
    /// Number of rows until the next window is complete.
    missing_rows: u64,
    /// Number of rows of the current series after the end of its last window.
    waiting: u64,
    used: u64,
    unused: u64,
}

impl WindowSchedule {
    /// Creates a schedule of windows of `length` rows that begin every `stride` rows; both are at least 1.
    #[must_use]
    pub fn new(length: u64, stride: u64) -> Self {
        let (length, stride) = (length.max(1), stride.max(1));
        Self { length, stride, series_rows: 0, missing_rows: length, waiting: 0, used: 0, unused: 0 }
    }

    /// Adds a row to the series. Returns whether a window ends with it.
    #[must_use]
    pub fn push(&mut self) -> bool {
        self.series_rows += 1;
        self.waiting += 1;
        self.missing_rows = self.missing_rows.saturating_sub(1);
        let is_complete = self.missing_rows == 0;
        if is_complete {
            self.complete_window();
        }
        is_complete
    }

    /// Ends the series. Returns whether one more window ends with its last row.
    #[must_use]
    pub fn end_series(&mut self) -> bool {
        let has_window = self.waiting > 0 && self.series_rows >= self.length;
        if has_window {
            self.complete_window();
        }
        self.unused += std::mem::take(&mut self.waiting);
        self.series_rows = 0;
        self.missing_rows = self.length;
        has_window
    }

    /// Returns the number of rows in at least one window.
    #[must_use]
    pub fn used_rows(&self) -> u64 {
        self.used
    }

    /// Returns the number of rows that the next window may still contain.
    #[must_use]
    pub fn waiting_rows(&self) -> u64 {
        self.waiting
    }

    /// Returns the number of rows in no window.
    #[must_use]
    pub fn unused_rows(&self) -> u64 {
        self.unused
    }

    fn complete_window(&mut self) {
        let new = self.waiting.min(self.length);
        self.used += new;
        self.unused += self.waiting - new;
        self.waiting = 0;
        self.missing_rows = self.stride;
    }
}
