//! Rows of numbers from CSV: from a file with [`CsvRows`], or from a stream that arrives in pieces with
//! [`CsvStream`]. All programs read CSV by these rules.
//!
//! # Form
//! - A line ends with LF, CRLF or CR; the last line may lack its end. Lines of nothing but spaces and tabs,
//!   and lines that begin with `#`, are skipped. A byte order mark at the beginning of a line is ignored.
//! - Cells are UTF-8 and separated by commas. White space around a cell is ignored.
//! - Cells may be quoted as in RFC 4180: a quoted cell may contain commas, and doubled quotes that stand for
//!   one. A quoted cell without a closing quote, or with text after it, is an error. A quote inside of an
//!   unquoted cell is a character like any other.
//! - In a file, a quoted cell may also contain line breaks, and "line" below means all lines of its record.
//!   In a stream, every line break ends the record, so that a lost quote costs one line and not the lines
//!   after it.
//! - A number is what Rust parses as `f32`, and finite.
//! - A line and a file have at most as many bytes as the caller allows. A line over the limit is refused; a
//!   stream continues with the line after it.
//!
//! # Header or row
//! The caller names the channels. The first line of cells decides about the columns, by the first rule that
//! applies:
//!
//! 1. It names all channels: it is a header. These columns are read, whatever their order; further columns
//!    are ignored.
//! 2. It names some of the channels and not the others, and is not a row of finite numbers: an error.
//! 3. It has more or fewer cells than there are channels: an error.
//! 4. None of its cells is a number, and at least one is not empty: it is a header, and the channels are read
//!    in order. The texts `nan`, `inf` and `infinity` count as numbers here, an empty cell does not.
//! 5. It is a row, and the channels are read in order. A cell that is not a finite number is an error with
//!    line, column and cell, as in every other row.
//!
//! Each further line is a row: the cells of the channels are finite numbers, and the line has as many cells
//! as the first. A line that is no such row, but names all channels, is a header again and takes the place of
//! the first: files may be concatenated, and a program may repeat its header.
//!
//! A table with names of its own ([`CsvRows::with_header`]) has a header in its first line: a line that names
//! the caller's marker column, or to which rule 4 applies.

mod columns;
mod error;
mod file;
mod record;
mod stream;

pub use error::CsvError;
pub use file::{CsvLimits, CsvRows};
pub use stream::CsvStream;
