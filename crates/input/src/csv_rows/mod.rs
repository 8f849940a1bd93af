//! Rows of numbers from CSV: from a file with [`CsvRows`], or from a stream that arrives in pieces with
//! [`CsvStream`]. All programs read CSV by these rules.
//!
//! # Form
//! - A line ends with LF, CRLF or CR; the last line may lack its end. Lines of nothing but spaces and tabs,
//!   and lines that begin with `#`, are skipped. A byte order mark at the beginning of a line is ignored.
//! - Cells are UTF-8, or otherwise Latin-1, and separated by semicolons, tabs or commas. Unless the separator is declared,
//!   it is found in the header or in the first row, in this order. White space around a cell is ignored.
//! - Cells may be quoted as in RFC 4180: a quoted cell may contain separators, and doubled quotes that stand for
//!   one. A quoted cell without a closing quote, or with text after it, is an error. A quote inside of an
//!   unquoted cell is a character like any other.
//! - In a file, a quoted cell may also contain line breaks, and "line" below means all lines of its record.
//!   In a stream, and where [`CsvRows::next_table_row`] knows the columns, every line break ends the record, so that a lost
//!   quote costs one line and not the lines after it.
//! - A number is what Rust parses as `f32`, and finite. A comma is a decimal mark if it is declared to be one, or if another
//!   character separates the cells; the first number with a decimal mark decides about all further ones. An empty cell, and
//!   texts such as `NaN`, `N/A` and `-`, say that the number is missing.
//! - A line and a file have at most as many bytes as the caller allows. A line over the limit is refused; a
//!   stream continues with the line after it.
//!
//! # Header or row
//! The caller names the channels, and [`TableSpec`](lopside_bundle::TableSpec) may declare the names or numbers of their
//! columns, and the columns of the time. The first lines of cells decide about the columns. Of these rules, the first that
//! applies to a line counts:
//!
//! 1. It names all columns: it is a header. These columns are read, whatever their order; further columns
//!    are ignored. A name may differ in case, and by a unit in brackets, if only one column is so similar.
//! 2. It has as many cells as there are channels, all of them numbers or missing and at least one a number: it is a row, and
//!    the channels are read in order. If one of the lines before it was a header with as many cells (rule 4), that is an
//!    error instead: columns are matched by name. If all columns have declared numbers, they are read, and lines of text
//!    before the first row are skipped.
//! 3. It names some of the columns and not the others: an error.
//! 4. None of its cells is a number, and at least one is not empty: it belongs to the head of the table, or is a header
//!    with other names. There are at most 64 of these lines.
//! 5. It is refused. If a header follows, the line belonged to the head of the table.
//!
//! Up to three lines without numbers after a header are skipped: they have the units.
//!
//! Each further line is a row: the cells of the channels are numbers or missing, and the line has as many cells as the
//! first, apart from empty cells at its end. A line that is no such row, but names all columns, is a header again and takes
//! the place of the first: files may be concatenated, and a program may repeat its header. A header that names only some of
//! the columns is an error, and no row is read until a header names all of them.
//!
//! A table with names of its own ([`CsvRows::with_header`]) has a header in its first line: a line that names
//! the caller's marker column, or to which rule 4 applies.
//!
//! # Series
//! [`RowFilter`] decides which rows follow each other, and [`WindowSchedule`] which of them are a window. A window never
//! contains rows before and after a gap: a leap of the time, a refused line, a row with a missing number.
//! [`RowCounts`] says what has become of all rows.

mod cell;
mod columns;
mod counts;
mod error;
mod file;
mod layout;
mod record;
mod record_reader;
mod row_filter;
mod schedule;
mod separator;
mod stream;
mod time;

pub use counts::RowCounts;
pub use error::CsvError;
pub use file::{CsvLimits, CsvRows};
pub use layout::TableRow;
pub use row_filter::{RefusedRow, RowFilter, SeriesRow};
pub use schedule::WindowSchedule;
pub use stream::CsvStream;
