//! Windows of sensor rows from a CSV stream. [`csv_rows`](lopside_input::csv_rows) has the rules about lines,
//! cells, headers and series.
//!
//! A line that is not a row of finite numbers is refused: it is counted and logged with its number. A window never
//! contains rows before and after such a line, or before and after a gap of the time.

mod builder;
mod reader;
#[cfg(test)]
mod tests;

use lopside_bundle::TableSpec;
pub use lopside_input::csv_rows::{RefusedRow, RowCounts};

use crate::CaptureError;

pub use self::reader::WindowReader;
pub(crate) use self::{
    builder::{RowWindow, WindowBuilder},
    reader::{MAX_LINE_BYTES, READ_BYTES, header_error},
};

/// Maximum number of values per window.
const MAX_WINDOW_VALUES: usize = 1 << 24;

/// Shape of the windows, and form of the table that they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowOptions {
    /// The names of the channels, in their order in a window.
    pub channels: Vec<String>,
    /// Rows per window.
    pub window_rows: usize,
    /// Rows from the beginning of one window to that of the next.
    pub stride_rows: usize,
    /// The form of the table.
    pub table: TableSpec,
}

impl WindowOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`] without channels, for a length or stride of 0, for windows over 2^24 values, and
    /// for a table that cannot have these channels.
    pub(crate) fn check(&self) -> Result<(), CaptureError> {
        let Self { channels, window_rows: length, stride_rows: stride, table } = self;
        let value_count = length.checked_mul(channels.len());
        if value_count.is_none_or(|value_count| value_count == 0 || value_count > MAX_WINDOW_VALUES)
            || *stride == 0
        {
            let message = format!(
                "windows of {length} rows of {} channels every {stride} rows are not supported: each number must be \
                 at least 1, and a window can have at most 2^24 numbers",
                channels.len()
            );
            return Err(CaptureError::InvalidSetting(message));
        }
        let problem = table.problem(channels.len());
        problem.map_or(Ok(()), |reason| {
            Err(CaptureError::InvalidSetting(format!("the form of the table: {reason}")))
        })
    }
}
