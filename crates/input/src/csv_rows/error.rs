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
    /// A line lacks its line break, although nothing follows it any more.
    IncompleteLine {
        /// The line.
        line: u64,
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
    /// The text is UTF-16.
    Utf16,
    /// A cell of a row is missing or not a finite number.
    InvalidNumber {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The cell; empty if it is missing.
        cell: String,
    },
    /// The time of a row is missing, or not of the declared form.
    InvalidTime {
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
    /// A header names some of the columns that are read and not the others.
    MissingChannels {
        /// The line.
        line: u64,
        /// Number of columns of the line.
        columns: usize,
        /// The missing columns, separated by commas.
        missing: String,
    },
    /// A header names none of the columns that are read, and rows with as many columns follow it.
    UnknownHeader {
        /// The line of the header.
        line: u64,
        /// Number of columns of the header.
        columns: usize,
        /// The columns that are read, separated by commas.
        missing: String,
    },
    /// A row follows a header that does not name all columns.
    LostColumns {
        /// The line.
        line: u64,
        /// The line of the header.
        header_line: u64,
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
            Self::Read(_) | Self::FileTooLong { .. } | Self::Utf16 => None,
            Self::LineTooLong { line, .. }
            | Self::IncompleteLine { line }
            | Self::InvalidQuotes { line, .. }
            | Self::InvalidNumber { line, .. }
            | Self::InvalidTime { line, .. }
            | Self::ColumnCount { line, .. }
            | Self::MissingChannels { line, .. }
            | Self::UnknownHeader { line, .. }
            | Self::LostColumns { line, .. }
            | Self::UnnamedColumns { line, .. }
            | Self::NoHeader { line } => Some(line),
        }
    }

    /// Returns the column; `None` if the error does not concern a single cell.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        match *self {
            Self::InvalidQuotes { column, .. }
            | Self::InvalidNumber { column, .. }
            | Self::InvalidTime { column, .. } => Some(column),
            _ => None,
        }
    }

    /// Returns whether the rest of the table cannot be read. All other errors concern one line.
    #[must_use]
    pub fn ends_table(&self) -> bool {
        matches!(self, Self::Read(_) | Self::FileTooLong { .. } | Self::Utf16) || self.is_header_error()
    }

    /// Returns whether a header does not say which columns to read.
    #[must_use]
    pub fn is_header_error(&self) -> bool {
        matches!(self, Self::MissingChannels { .. } | Self::UnknownHeader { .. })
    }

    /// Returns the text of the error without the line.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Read(error) => error.to_string(),
            Self::FileTooLong { limit_bytes } => format!("it has over {limit_bytes} bytes: split it"),
            Self::LineTooLong { limit_bytes, .. } => format!("it is longer than {limit_bytes} bytes"),
            Self::IncompleteLine { .. } => {
                "it lacks its line break, so its last cell may be incomplete".into()
            }
            Self::InvalidQuotes { column, cell, .. } => format!(
                "column {column}: {cell:?} is not quoted correctly: a cell that begins with a quote must end with \
                 one, and each quote between them must be doubled"
            ),
            Self::Utf16 => "it is UTF-16: save it as UTF-8".into(),
            Self::InvalidNumber { column, cell, .. } => {
                format!("column {column}: {cell:?} is not a finite number")
            }
            Self::InvalidTime { column, cell, .. } => format!(
                "column {column}: {cell:?} is not a time: declare its form with time_format in the form of the table"
            ),
            Self::ColumnCount { columns, expected, .. } => {
                format!("it has {columns} columns, but the first line has {expected}")
            }
            Self::MissingChannels { missing, .. } => {
                format!("it is a header without {missing}: add these columns, or correct the channel names")
            }
            Self::UnknownHeader { missing, .. } => format!(
                "it is a header that names none of {missing}: correct the names, or declare the names or numbers of the \
                 columns with columns in the form of the table"
            ),
            Self::LostColumns { header_line, .. } => {
                format!("the header in line {header_line} does not say which of its columns to read")
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
