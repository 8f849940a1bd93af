//! A line of CSV as cells.

use std::ops::Range;

/// The cells of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// The line in which the record begins, from 1.
    pub(super) line: u64,
    /// The contents of the cells, one after the other.
    pub(super) text: &'a str,
    /// The end of each cell in the text.
    pub(super) ends: &'a [usize],
}

impl<'a> Record<'a> {
    pub(super) fn cell_count(self) -> usize {
        self.ends.len()
    }

    /// Returns a cell without the white space around it; an empty text if there is no such column.
    pub(super) fn cell(self, column: usize) -> &'a str {
        cell_range(self.ends, column).map(|range| self.text[range].trim()).unwrap_or_default()
    }

    pub(super) fn cells(self) -> impl Iterator<Item = &'a str> {
        (0..self.cell_count()).map(move |column| self.cell(column))
    }
}

/// Returns whether the text is UTF-8, and no character is spread over two cells.
pub(super) fn is_utf8(text: &[u8], ends: &[usize]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| ends.iter().all(|&end| text.is_char_boundary(end)))
}

/// Returns the text of Latin-1, one character per byte, and the ends of its cells.
pub(super) fn from_latin1(bytes: &[u8], ends: &[usize]) -> (Vec<u8>, Vec<usize>) {
    let mut lengths = Vec::with_capacity(bytes.len() + 1);
    let mut text = String::with_capacity(2 * bytes.len());
    for &byte in bytes {
        lengths.push(text.len());
        text.push(char::from(byte));
    }
    lengths.push(text.len());
    let ends = ends.iter().map(|&end| lengths.get(end).copied().unwrap_or(text.len())).collect();
    (text.into_bytes(), ends)
}

/// Returns the place of a cell in the text of its record.
pub(super) fn cell_range(ends: &[usize], column: usize) -> Option<Range<usize>> {
    let end = *ends.get(column)?;
    let start = column.checked_sub(1).map_or(0, |before| ends[before]);
    Some(start..end)
}
