//! Bytes of CSV as records of cells, one byte at a time, so that bytes may arrive in pieces of any size.
//!
//! ```text
//! line start ─┬─ #     ─► comment
//!             ├─ "     ─► quoted ─ " ─► quote inside ─┬─ "     ─► quoted
//!             │                                       ├─ space ─► closed
//!             │                                       └─ other ─► plain: not quoted correctly
//!             └─ other ─► plain
//! any of these but comment and quoted ─ , ─► cell start, which is like line start, without comments
//! ```
//! The comma stands for the separator. While the separator is not known, the bytes of a line are collected; at its end
//! the separator is guessed, and the bytes go through these states.
//!
//! A line break ends the record in every state but `Quoted`, and there as well unless cells may span lines. A
//! line over the limit is an error at once; its rest is skipped.

use super::{
    error::{CsvError, shorten},
    record::{Record, cell_range, from_latin1, is_utf8},
    separator::{QuoteTracker, guess_separator},
};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The byte order marks of UTF-16.
const UTF16_MARKS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

/// Splits bytes into records. It stores at most the bytes of one line, and an offset per cell.
#[derive(Debug)]
pub(super) struct RecordReader {
    max_line_bytes: usize,
    /// Whether a quoted cell may contain line breaks.
    spans_lines: bool,
    /// The separator of all further lines; `None` if each line may have another one.
    fixed_separator: Option<u8>,
    /// The separator of the current line.
    separator: u8,
    /// The bytes of a line whose separator is not known yet.
    collected: Vec<u8>,
    quotes: QuoteTracker,
    /// The contents of the cells without their quotes, one after the other.
    text: Vec<u8>,
    /// The end of each complete cell in `text`.
    ends: Vec<usize>,
    state: State,
    /// The column, from 0, of the first cell that is not quoted correctly.
    misquoted: Option<usize>,
    /// The line in which the record begins, from 1.
    line: u64,
    /// Number of bytes of the record so far.
    line_bytes: usize,
    /// Number of lines that have ended.
    ended_lines: u64,
    /// Whether the last byte was a CR.
    after_cr: bool,
    /// Whether the record has ended, so that the next byte begins another.
    is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first character of a line.
    LineStart,
    /// Before the first character of another cell.
    CellStart,
    /// In a cell without quotes.
    Plain,
    /// After the opening quote of a cell.
    Quoted,
    /// After a quote in a quoted cell: the closing quote, or the first half of a doubled quote.
    QuoteInside,
    /// In the white space after a closing quote.
    Closed,
    /// In a line that is not read.
    Comment,
    /// In the rest of a line over the limit.
    Skipped,
}

impl RecordReader {
    pub(super) fn new(max_line_bytes: usize, spans_lines: bool) -> Self {
        Self {
            max_line_bytes,
            spans_lines,
            fixed_separator: None,
            separator: b',',
            collected: Vec::new(),
            quotes: QuoteTracker::default(),
            text: Vec::new(),
            ends: Vec::new(),
            state: State::LineStart,
            misquoted: None,
            line: 1,
            line_bytes: 0,
            ended_lines: 0,
            after_cr: false,
            is_over: false,
        }
    }

    /// Sets the separator of all lines.
    pub(super) fn with_separator(self, separator: Option<u8>) -> Self {
        Self { fixed_separator: separator, separator: separator.unwrap_or(b','), ..self }
    }

    /// Keeps the separator of the last record for all further lines, unless the record has a single cell.
    pub(super) fn keep_separator(&mut self) {
        if self.ends.len() > 1 {
            self.fixed_separator = Some(self.separator);
        }
    }

    /// Ends every further record at its line break, so that a lost quote costs one line and not the lines after it.
    pub(super) fn end_at_lines(&mut self) {
        self.spans_lines = false;
    }

    /// Returns the line of which only the beginning was read; `None` after the end of a line.
    pub(super) fn incomplete_line(&self) -> Option<u64> {
        (!self.is_over && self.line_bytes > 0).then_some(self.line)
    }

    /// Returns whether a comma separates the cells of the last record.
    pub(super) fn has_comma_separator(&self) -> bool {
        self.ends.len() > 1 && self.separator == b','
    }

    /// Reads up to the end of a record, and removes the bytes that were read from `bytes`. Returns whether
    /// the record is complete; if not, it needs more bytes. After an error, a further call reads the next
    /// line.
    pub(super) fn read(&mut self, bytes: &mut &[u8]) -> Result<bool, CsvError> {
        if self.is_over {
            self.begin_record();
        }
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if self.read_byte(byte)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends the last line, which lacks a line break. Returns whether it is a record.
    pub(super) fn finish(&mut self) -> Result<bool, CsvError> {
        if self.is_over || self.line_bytes == 0 {
            return Ok(false);
        }
        self.ended_lines += 1;
        self.end_record()
    }

    /// Returns the record that was completed last. A record that is not UTF-8 is taken for Latin-1, in which many
    /// loggers write the names and units of their columns; numbers are the same in both.
    pub(super) fn record(&mut self) -> Result<Record<'_>, CsvError> {
        if self.line == 1 && UTF16_MARKS.iter().any(|mark| self.text.starts_with(mark)) {
            return Err(CsvError::Utf16);
        }
        if !is_utf8(&self.text, &self.ends) {
            (self.text, self.ends) = from_latin1(&self.text, &self.ends);
        }
        let text = std::str::from_utf8(&self.text).unwrap_or_default();
        Ok(Record { line: self.line, text, ends: &self.ends })
    }

    fn begin_record(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.collected.clear();
        self.quotes = QuoteTracker::default();
        self.state = State::LineStart;
        self.misquoted = None;
        self.line = self.ended_lines + 1;
        self.line_bytes = 0;
        self.is_over = false;
    }

    /// Reads a byte; returns whether it completes a record.
    fn read_byte(&mut self, byte: u8) -> Result<bool, CsvError> {
        let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        if matches!(byte, b'\r' | b'\n') {
            // CRLF is one line break.
            let is_second_half = after_cr && byte == b'\n';
            self.ended_lines += u64::from(!is_second_half);
            let is_quoted = self.state == State::Quoted || self.quotes.is_quoted();
            if !(self.spans_lines && is_quoted) {
                return self.end_record();
            }
        }
        if self.state == State::Skipped {
            return Ok(false);
        }
        self.line_bytes += 1;
        if self.line_bytes > self.max_line_bytes {
            let error = CsvError::LineTooLong { line: self.line, limit_bytes: self.max_line_bytes };
            self.begin_record();
            self.state = State::Skipped;
            return Err(error);
        }
        if self.fixed_separator.is_none() {
            self.collected.push(byte);
            self.quotes.push(byte);
        } else {
            self.read_character(byte);
        }
        Ok(false)
    }

    /// Reads the bytes that were collected, now that the line is complete.
    fn read_collected(&mut self) {
        let bytes = std::mem::take(&mut self.collected);
        self.separator = guess_separator(&bytes).unwrap_or(b',');
        for byte in bytes {
            self.read_character(byte);
        }
    }

    /// Reads a byte that does not end the record.
    fn read_character(&mut self, byte: u8) {
        match (self.state, byte) {
            (State::Comment | State::Skipped, _) => {}
            (State::LineStart | State::CellStart, b' ' | b'\t') if byte != self.separator => {}
            (State::LineStart, b'#') => self.state = State::Comment,
            (State::LineStart | State::CellStart, b'"') => self.state = State::Quoted,
            (State::Quoted, b'"') => self.state = State::QuoteInside,
            (State::Quoted, _) => self.text.push(byte),
            (_, _) if byte == self.separator => {
                self.ends.push(self.text.len());
                self.state = State::CellStart;
            }
            (State::QuoteInside, b'"') => {
                self.text.push(byte);
                self.state = State::Quoted;
            }
            (State::QuoteInside | State::Closed, b' ' | b'\t') => self.state = State::Closed,
            (State::QuoteInside | State::Closed, _) => {
                self.misquoted = self.misquoted.or(Some(self.ends.len()));
                self.push_plain(byte);
            }
            (State::LineStart | State::CellStart | State::Plain, _) => self.push_plain(byte),
        }
    }

    fn push_plain(&mut self, byte: u8) {
        self.text.push(byte);
        self.state = State::Plain;
        if self.ends.is_empty() && self.text == BYTE_ORDER_MARK {
            self.text.clear();
            self.state = State::LineStart;
        }
    }

    /// Ends the record; returns whether it has cells.
    fn end_record(&mut self) -> Result<bool, CsvError> {
        if self.fixed_separator.is_none() && self.state != State::Skipped {
            self.read_collected();
        }
        if self.state == State::Quoted {
            self.misquoted = self.misquoted.or(Some(self.ends.len()));
        }
        self.ends.push(self.text.len());
        self.is_over = true;
        if let Some(column) = self.misquoted {
            let cell = self.shown_cell(column);
            return Err(CsvError::InvalidQuotes { line: self.line, column: column + 1, cell });
        }
        let is_nothing = matches!(self.state, State::LineStart | State::Comment | State::Skipped);
        if is_nothing {
            self.begin_record();
        }
        Ok(!is_nothing)
    }

    /// Returns the bytes of a cell, which need not be text.
    fn cell_bytes(&self, column: usize) -> &[u8] {
        cell_range(&self.ends, column).map(|range| &self.text[range]).unwrap_or_default()
    }

    /// Returns the part of a cell that an error shows.
    fn shown_cell(&self, column: usize) -> String {
        shorten(String::from_utf8_lossy(self.cell_bytes(column)).trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the records, each as its line and its cells.
    fn records(text: &str, spans_lines: bool) -> Vec<String> {
        let mut reader = RecordReader::new(100, spans_lines);
        let mut bytes = text.as_bytes();
        let mut found = Vec::new();
        while reader.read(&mut bytes).unwrap() || reader.finish().unwrap() {
            let record = reader.record().unwrap();
            let cells: Vec<&str> = record.cells().collect();
            found.push(format!("{}: {}", record.line, cells.join("|")));
        }
        found
    }

    /// Returns the error of the first line.
    fn error(mut text: &[u8]) -> String {
        let mut reader = RecordReader::new(100, false);
        match reader.read(&mut text) {
            Ok(_) => reader.record().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn lines_end_in_three_ways_and_some_are_skipped() {
        let text = "\u{feff}a, b \r\n\r\n# \"note\n \t\n  # 1\r1,2\r3,\n\u{feff}\"x\" ,,\"\"";
        assert_eq!(records(text, false), ["1: a|b", "6: 1|2", "7: 3|", "8: x||"]);
        assert_eq!(records("\"\"\n", false), ["1: "]);
        assert!(records("", false).is_empty());
    }

    #[test]
    fn quoted_cells_may_contain_commas_quotes_and_in_files_line_breaks() {
        assert_eq!(records("\"a, b\" , \" c \",d\"e\n", true), ["1: a, b|c|d\"e"]);
        assert_eq!(records("\"say \"\"a\"\"\",\"\"\"\"\n", true), ["1: say \"a\"|\""]);
        assert_eq!(records("\"a\r\n,\",b\n1,2\n", true), ["1: a\r\n,|b", "3: 1|2"]);
    }

    #[test]
    fn a_cell_that_is_not_quoted_correctly_is_named() {
        for (text, expected) in [
            ("1,\"2\n", "line 1, column 2: \"2\" is not quoted correctly"),
            ("\"1\"2,3\n", "line 1, column 1: \"12\" is not quoted correctly"),
            ("1, \"2\" \"3\"\n", "line 1, column 2: \"2\\\"3\\\"\" is not quoted correctly"),
            ("\"\"\u{feff}\n", "line 1, column 1: \"\" is not quoted correctly"),
        ] {
            let found = error(text.as_bytes());
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn a_record_that_is_not_utf8_is_read_as_latin1() {
        let cells = |mut text: &[u8]| {
            let mut reader = RecordReader::new(100, false);
            assert!(reader.read(&mut text).unwrap());
            reader.record().unwrap().cells().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(cells(b"t [\xb0C],\xff2\n"), ["t [°C]", "ÿ2"]);
        // A character that is spread over two cells is two characters.
        assert_eq!(cells(b"1,\xc3,\xa9\n"), ["1", "Ã", "©"]);
        assert_eq!(cells("t [°C],2\n".as_bytes()), ["t [°C]", "2"]);
    }

    #[test]
    fn utf16_is_refused_by_name() {
        for text in [&b"\xff\xfea\0\n\0"[..], b"\xfe\xff\0a\0\n"] {
            assert!(error(text).contains("UTF-16"), "{}", error(text));
        }
    }

    #[test]
    fn other_separators_are_found_until_one_is_kept() {
        assert_eq!(
            records("Logger A, 7\nx;\"y; z\"\n1,5; 2\na\t b\n\"q\tr\"\t\n", true),
            ["1: Logger A|7", "2: x|y; z", "3: 1,5|2", "4: a|b", "5: q\tr"]
        );
        let mut reader = RecordReader::new(100, false).with_separator(Some(b'\t'));
        let mut bytes = &b"\t1;2\t3\n"[..];
        assert!(reader.read(&mut bytes).unwrap());
        assert_eq!(reader.record().unwrap().cells().collect::<Vec<_>>(), ["", "1;2", "3"]);
    }
}
