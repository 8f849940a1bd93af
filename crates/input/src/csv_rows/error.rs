use std::{error::Error, fmt, io};

/// Maximum length of a cell in a message, in characters.
const MAX_SHOWN_CHARS: usize = 40;

/// Reason why a table, or one of its lines, is refused. Lines and columns are counted from 1, and a cell is
/// cut after 40 characters.
#[derive(Debug)]
#[non_exhaustive]
pub enum CsvError {
    /// The source cannot be read.
    Read(io::Error),
    /// The file has more bytes than allowed.
    FileTooLong {
        /// Maximum number of bytes.
        limit_bytes: u64,
    },
    /// A line has more bytes than allowed.
    LineTooLong {
        /// The line.
        line: u64,
        /// Maximum number of bytes.
        limit_bytes: usize,
    },
    /// A quoted cell lacks its closing quote, or has text after it.
    InvalidQuotes {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The cell.
        cell: String,
    },
    /// A cell is not UTF-8.
    InvalidUtf8 {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The cell, with replacement characters.
        cell: String,
    },
    /// A cell of a row is missing or not a finite number.
    InvalidNumber {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The cell; empty if it is missing.
        cell: String,
    },
    /// A row does not have as many columns as the first line.
    ColumnCount {
        /// The line.
        line: u64,
        /// Number of columns of the row.
        columns: usize,
        /// Number of columns of the first line.
        expected: usize,
    },
    /// The first line names some of the channels and not the others.
    MissingChannels {
        /// The line.
        line: u64,
        /// Number of columns of the line.
        columns: usize,
        /// The missing channels, separated by commas.
        missing: String,
    },
    /// The first line names none of the channels and does not have one column per channel.
    UnnamedColumns {
        /// The line.
        line: u64,
        /// Number of columns of the line.
        columns: usize,
        /// All channels, separated by commas.
        channels: String,
    },
    /// The first line is a row of numbers, but must be a header.
    NoHeader {
        /// The line.
        line: u64,
    },
}

impl CsvError {
    /// Returns the line; `None` if the error does not concern a single line.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        match *self {
            Self::Read(_) | Self::FileTooLong { .. } => None,
            Self::LineTooLong { line, .. }
            | Self::InvalidQuotes { line, .. }
            | Self::InvalidUtf8 { line, .. }
            | Self::InvalidNumber { line, .. }
            | Self::ColumnCount { line, .. }
            | Self::MissingChannels { line, .. }
            | Self::UnnamedColumns { line, .. }
            | Self::NoHeader { line } => Some(line),
        }
    }

    /// Returns the column; `None` if the error does not concern a single cell.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        match *self {
            Self::InvalidQuotes { column, .. }
            | Self::InvalidUtf8 { column, .. }
            | Self::InvalidNumber { column, .. } => Some(column),
            _ => None,
        }
    }

    /// Returns the text of the error without the line.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Read(error) => error.to_string(),
            Self::FileTooLong { limit_bytes } => format!("it has over {limit_bytes} bytes: split it"),
            Self::LineTooLong { limit_bytes, .. } => format!("it is longer than {limit_bytes} bytes"),
            Self::InvalidQuotes { column, cell, .. } => format!(
                "column {column}: {cell:?} is not quoted correctly: a cell that begins with a quote must end with \
                 one, and each quote between them must be doubled"
            ),
            Self::InvalidUtf8 { column, cell, .. } => format!("column {column}: {cell:?} is not UTF-8"),
            Self::InvalidNumber { column, cell, .. } => {
                format!("column {column}: {cell:?} is not a finite number")
            }
            Self::ColumnCount { columns, expected, .. } => {
                format!("it has {columns} columns, but the first line has {expected}")
            }
            Self::MissingChannels { missing, .. } => {
                format!("it is a header without {missing}: add these columns, or correct the channel names")
            }
            Self::UnnamedColumns { columns, channels, .. } => {
                format!("it has {columns} columns and no header that names all of the channels: {channels}")
            }
            Self::NoHeader { .. } => {
                "it is a row of numbers: the first line must be a header that names the columns".into()
            }
        }
    }
}

impl fmt::Display for CsvError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason();
        match (self.line(), self.column()) {
            (Some(line), Some(_)) => write!(formatter, "line {line}, {reason}"),
            (Some(line), None) => write!(formatter, "line {line}: {reason}"),
            (None, _) => formatter.write_str(&reason),
        }
    }
}

impl Error for CsvError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            _ => None,
        }
    }
}

/// Returns the part of a cell that an error shows.
pub(super) fn shorten(cell: &str) -> String {
    cell.chars().take(MAX_SHOWN_CHARS).collect()
}
