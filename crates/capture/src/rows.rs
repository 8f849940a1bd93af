//! Windows of sensor rows from a CSV stream. [`csv_rows`](lopside_input::csv_rows) has the rules about lines,
//! cells and headers.
//!
//! A line that is not a row of finite numbers is refused: it is counted and logged with its number, and the
//! next row takes its place in the window. Windows begin every `stride` rows; if the last of them does not
//! reach the end of the stream, one more window ends there.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read},
    sync::Arc,
};

use lopside_input::csv_rows::{CsvError, CsvStream};

use crate::{CaptureError, InputCounts};

/// The longest line, in bytes.
const MAX_LINE_BYTES: usize = 64 << 10;
/// Maximum number of bytes per read.
const READ_BYTES: usize = 8 << 10;
/// Maximum number of values per window.
const MAX_WINDOW_VALUES: usize = 1 << 24;

/// Shape of the windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowOptions {
    /// The names of the channels, in their order in a window.
    pub channels: Vec<String>,
    /// Rows per window.
    pub window_rows: usize,
    /// Rows from the beginning of one window to that of the next.
    pub stride_rows: usize,
}

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLine {
    /// The line number, from 1.
    pub line_number: u64,
    /// The reason for the refusal.
    pub reason: String,
}

/// The windows of a stream.
pub struct WindowReader<R> {
    name: Arc<str>,
    reader: R,
    /// The buffer of a read.
    buffer: Vec<u8>,
    stream: CsvStream,
    options: WindowOptions,
    /// The values of the last rows, at most one window.
    rows: VecDeque<f32>,
    /// Number of rows until the next window is complete.
    rows_missing: usize,
    counts: InputCounts,
    last_refused: Option<RefusedLine>,
}

impl<R: Read> WindowReader<R> {
    /// Creates the windows of a reader; `name` identifies the stream in messages.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`] without channels, for a length or stride of 0, and for windows over 2^24
    /// values.
    pub fn new(name: &Arc<str>, reader: R, options: WindowOptions) -> Result<Self, CaptureError> {
        let WindowOptions { channels, window_rows: length, stride_rows: stride } = &options;
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
        Ok(Self {
            name: name.clone(),
            reader,
            buffer: vec![0; READ_BYTES],
            stream: CsvStream::new(channels.clone(), MAX_LINE_BYTES),
            rows_missing: *length,
            options,
            rows: VecDeque::new(),
            counts: InputCounts::default(),
            last_refused: None,
        })
    }

    /// Waits for the next window, row-major `[length, channels]`; returns `None` at the end of the stream.
    ///
    /// # Errors
    /// [`CaptureError::MissingColumns`], or [`CaptureError::ReadStream`].
    pub fn next_window(&mut self) -> Result<Option<Vec<f32>>, CaptureError> {
        loop {
            match self.next_row() {
                Ok(Some(row)) => {
                    if let Some(window) = self.push(row) {
                        return Ok(Some(window));
                    }
                }
                Ok(None) => return Ok(self.last_window()),
                Err(CsvError::Read(source)) => {
                    return Err(CaptureError::ReadStream { name: self.name.to_string(), source });
                }
                Err(CsvError::MissingChannels { line, missing, .. }) => {
                    return Err(CaptureError::MissingColumns { name: self.name.to_string(), line, missing });
                }
                Err(error) => self.refuse(&error),
            }
        }
    }

    /// Returns the numbers of windows returned and of lines refused.
    pub fn input_counts(&self) -> InputCounts {
        self.counts
    }

    /// Returns the last line that was refused.
    pub fn last_refused(&self) -> Option<&RefusedLine> {
        self.last_refused.as_ref()
    }

    /// Waits for the next row; returns `None` at the end of the stream.
    fn next_row(&mut self) -> Result<Option<Vec<f32>>, CsvError> {
        loop {
            if let Some(row) = self.stream.next_row()? {
                return Ok(Some(row));
            }
            match self.reader.read(&mut self.buffer) {
                Ok(0) => return self.stream.finish(),
                Ok(len) => self.stream.push(&self.buffer[..len.min(READ_BYTES)]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(CsvError::Read(error)),
            }
        }
    }

    fn push(&mut self, row: Vec<f32>) -> Option<Vec<f32>> {
        if self.rows.len() == self.options.window_rows * self.options.channels.len() {
            self.rows.drain(..row.len());
        }
        self.rows.extend(row);
        self.rows_missing -= 1;
        (self.rows_missing == 0).then(|| self.take_window())
    }

    fn take_window(&mut self) -> Vec<f32> {
        self.rows_missing = self.options.stride_rows;
        self.counts.captured += 1;
        self.rows.iter().copied().collect()
    }

    /// Returns the window that ends with the stream, if it contains rows that are in no other window.
    fn last_window(&mut self) -> Option<Vec<f32>> {
        let is_full = self.rows.len() == self.options.window_rows * self.options.channels.len();
        (is_full && self.rows_missing != self.options.stride_rows).then(|| self.take_window())
    }

    fn refuse(&mut self, error: &CsvError) {
        let refused_line =
            RefusedLine { line_number: error.line().unwrap_or_default(), reason: error.reason() };
        self.counts.damaged += 1;
        // The log must stay small even if every line of a stream is refused.
        if self.counts.damaged.is_power_of_two() {
            let (name, lines) = (&self.name, self.counts.damaged);
            tracing::warn!(source = %name, line = refused_line.line_number, refused = lines, "a line was refused: {}", refused_line.reason);
        }
        self.last_refused = Some(refused_line);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(length: usize, stride: usize, channels: &[&str]) -> WindowOptions {
        WindowOptions {
            channels: channels.iter().map(|&name| name.into()).collect(),
            window_rows: length,
            stride_rows: stride,
        }
    }

    fn windows(text: &str, options: WindowOptions) -> (Vec<Vec<f32>>, InputCounts, Option<RefusedLine>) {
        let mut windows = WindowReader::new(&"sensor".into(), text.as_bytes(), options).unwrap();
        let found = std::iter::from_fn(|| windows.next_window().unwrap()).collect();
        (found, windows.input_counts(), windows.last_refused().cloned())
    }

    #[test]
    fn a_header_selects_columns_and_may_be_repeated() {
        let text = "time, \"b\", a\n0,1,2\r\n# a note\n1,3,4\na,b\n5,6\n";
        let (found, counts, _) = windows(text, options(1, 1, &["a", "b"]));
        assert_eq!(found, [[2.0, 1.0], [4.0, 3.0], [5.0, 6.0]]);
        assert_eq!(counts, InputCounts { captured: 3, ..InputCounts::default() });
        let (found, ..) = windows("\u{feff}x,y\n5,6\n7,8", options(1, 1, &["a", "b"]));
        assert_eq!(found, [[5.0, 6.0], [7.0, 8.0]]);
    }

    #[test]
    fn a_bad_line_is_refused_by_number_and_later_lines_are_read() {
        for (bad, reason) in [
            ("3,", "column 2: \"\" is not a finite number"),
            ("3", "column 2: \"\" is not a finite number"),
            ("x,1", "column 1: \"x\" is not a finite number"),
            ("1,inf", "column 2: \"inf\" is not a finite number"),
            // Two lines that have lost the line break between them.
            ("3,43,4", "it has 3 columns, but the first line has 2"),
            ("\"3,4\"", "column 1: \"3,4\" is not a finite number"),
            (
                "3,\"4\"5",
                "column 2: \"45\" is not quoted correctly: a cell that begins with a quote must end with \
                 one, and each quote between them must be doubled",
            ),
        ] {
            let (found, counts, refused) = windows(&format!("1,2\n{bad}\n5,6\n"), options(2, 1, &["a", "b"]));
            assert_eq!(found, [[1.0, 2.0, 5.0, 6.0]], "{bad}");
            assert_eq!(counts.damaged, 1);
            assert_eq!(refused, Some(RefusedLine { line_number: 2, reason: reason.into() }));
        }
    }

    #[test]
    fn a_comma_in_quotes_does_not_separate_cells() {
        let text = "\"at, UTC\",\"flow, \"\"l/s\"\"\",b\n\"5, 6\",\"1\",2\n";
        let (found, counts, _) = windows(text, options(1, 1, &["b", "flow, \"l/s\""]));
        assert_eq!((found, counts.damaged), (vec![vec![2.0, 1.0]], 0));
    }

    #[test]
    fn a_first_line_with_a_bad_cell_is_refused() {
        let (found, _, refused) = windows("1,x\n3,4\n", options(1, 1, &["a", "b"]));
        assert_eq!(found, [[3.0, 4.0]]);
        let reason = "column 2: \"x\" is not a finite number".into();
        assert_eq!(refused, Some(RefusedLine { line_number: 1, reason }));
    }

    #[test]
    fn a_lost_quote_costs_one_line() {
        let (found, counts, refused) = windows("1,2\n3,\"4\n5,6\n", options(1, 1, &["a", "b"]));
        assert_eq!((found, counts.damaged), (vec![vec![1.0, 2.0], vec![5.0, 6.0]], 1));
        assert_eq!(refused.unwrap().line_number, 2);
    }

    #[test]
    fn half_a_line_at_the_start_does_not_fix_the_columns() {
        let (found, counts, refused) = windows(".5\n1,2\n", options(1, 1, &["a", "b"]));
        assert_eq!((found, counts.damaged), (vec![vec![1.0, 2.0]], 1));
        assert_eq!(
            refused.unwrap().reason,
            "it has 1 columns and no header that names all of the channels: a, b"
        );
    }

    #[test]
    fn a_header_without_a_channel_is_an_error() {
        let mut windows =
            WindowReader::new(&"sensor".into(), &b"a,c\n1,2\n"[..], options(1, 1, &["a", "b"])).unwrap();
        let error = windows.next_window().unwrap_err().to_string();
        assert!(error.contains("line 1 of sensor is a header without b: add these columns"), "{error}");
    }

    #[test]
    fn an_overlong_line_is_skipped() {
        let text = format!("1\n{}\n2\n", "7".repeat(3 * MAX_LINE_BYTES));
        let (found, counts, refused) = windows(&text, options(1, 1, &["a"]));
        assert_eq!((found, counts.damaged), (vec![vec![1.0], vec![2.0]], 1));
        assert_eq!(refused.unwrap().line_number, 2);
    }

    #[test]
    fn invalid_window_sizes_are_refused() {
        for options in [
            options(0, 1, &["a"]),
            options(1, 0, &["a"]),
            options(1, 1, &[]),
            options(usize::MAX, 1, &["a", "b"]),
        ] {
            assert!(WindowReader::new(&"sensor".into(), &b""[..], options).is_err());
        }
    }

    proptest! {
        #[test]
        fn every_row_is_in_a_window_and_windows_begin_at_every_stride(
            rows in 0_usize..40, length in 1_usize..9, stride in 1_usize..12,
        ) {
            let text: String = (0..rows).map(|row| format!("{row},{}\n", row * 10)).collect();
            let (found, ..) = windows(&text, options(length, stride, &["a", "b"]));
            let last = rows.checked_sub(length);
            let mut starts: Vec<usize> = last.iter().flat_map(|&last| (0..=last).step_by(stride)).collect();
            starts.extend(last.filter(|last| !last.is_multiple_of(stride)));
            let row = |row: usize| [row as f32, row as f32 * 10.0];
            let expected: Vec<Vec<f32>> =
                starts.into_iter().map(|start| (start..start + length).flat_map(row).collect()).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(prop::sample::select(&b"01.,e-x\"#\r\n \xff\xef\xbb\xbf"[..]), 0..300)) {
            let mut windows = WindowReader::new(&"sensor".into(), &bytes[..], options(2, 1, &["x", "e"])).unwrap();
            let found = std::iter::from_fn(|| windows.next_window().ok().flatten());
            prop_assert!(found.take(400).all(|window| window.len() == 4 && window.iter().all(|number| number.is_finite())));
        }
    }
}
