//! The columns of a table that are read, and where they are.

use std::time::SystemTime;

use lopside_bundle::{ColumnRef, TableSpec};

use super::{
    cell::{Cell, NumberReader},
    error::{CsvError, shorten},
    record::Record,
    time::parse_time,
};

/// The columns to read: one per channel, and those of the time.
#[derive(Debug)]
pub(super) struct WantedColumns {
    channels: Vec<ColumnRef>,
    time: Vec<ColumnRef>,
    spec: TableSpec,
}

/// One row of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// The line, from 1.
    pub line: u64,
    /// One number per channel; not a number where it is missing.
    pub values: Vec<f32>,
    /// The time of the row in seconds, if the table has one. Only differences of these times have a meaning.
    pub time: Option<f64>,
    /// The moment of the row, if the table has a time and its zone is known.
    pub measured_at: Option<SystemTime>,
    /// The first missing number: its column, from 1, and its cell.
    pub missing: Option<(usize, String)>,
    /// Whether the columns have names or declared numbers, so that lines before the first row are no rows.
    pub has_known_columns: bool,
}

/// The places of the wanted columns in a table.
#[derive(Debug)]
pub(super) struct Layout {
    /// Column index of each channel.
    columns: Vec<usize>,
    /// Column indices of the time.
    time: Vec<usize>,
    /// Number of cells per record; `None` if the first row decides.
    cell_count: Option<usize>,
    /// Whether the columns were found by their names or by declared numbers.
    is_known: bool,
}

impl WantedColumns {
    pub(super) fn new(channels: Vec<String>, spec: &TableSpec) -> Self {
        let channels = match &spec.columns {
            Some(columns) => columns.clone(),
            None => channels.into_iter().map(ColumnRef::Name).collect(),
        };
        Self { channels, time: spec.time_columns().to_vec(), spec: spec.clone() }
    }

    /// Returns the layout of tables whose columns all have declared numbers.
    pub(super) fn numbered_layout(&self) -> Option<Layout> {
        let index = |column: &ColumnRef| match column {
            ColumnRef::Number(number) => Some(number.saturating_sub(1) as usize),
            ColumnRef::Name(_) => None,
        };
        let columns: Option<Vec<usize>> = self.channels.iter().map(index).collect();
        let time: Option<Vec<usize>> = self.time.iter().map(index).collect();
        let columns = columns.filter(|columns| !columns.is_empty())?;
        Some(Layout { columns, time: time?, cell_count: None, is_known: true })
    }

    /// Returns the layout of a table without names: the channels in their order. A time has no place there.
    pub(super) fn ordered_layout(&self) -> Option<Layout> {
        (self.spec.columns.is_none() && self.time.is_empty()).then(|| Layout::in_order(self.channels.len()))
    }

    /// Returns the columns of a header that names all wanted columns; `None` for any other record.
    pub(super) fn find(&self, record: Record<'_>) -> Option<Layout> {
        let mut taken = Vec::with_capacity(self.channels.len());
        for column in &self.channels {
            // Channels of the same name have different columns.
            taken.push(find_column(record, column, &taken)?);
        }
        let time: Option<Vec<usize>> =
            self.time.iter().map(|column| find_column(record, column, &[])).collect();
        Some(Layout { columns: taken, time: time?, cell_count: Some(filled_cells(record)), is_known: true })
    }

    /// Returns the names of the wanted columns that a header lacks.
    pub(super) fn missing_names(&self, record: Record<'_>) -> Vec<String> {
        let lacks = |column: &&ColumnRef| find_column(record, column, &[]).is_none();
        self.channels.iter().chain(&self.time).filter(lacks).map(show_column).collect()
    }

    /// Returns the number of wanted columns that have a name.
    pub(super) fn named_count(&self) -> usize {
        let is_named = |column: &&ColumnRef| matches!(column, ColumnRef::Name(_));
        self.channels.iter().chain(&self.time).filter(is_named).count()
    }

    /// Returns the wanted columns as a text.
    pub(super) fn show(&self) -> String {
        let shown: Vec<String> = self.channels.iter().chain(&self.time).map(show_column).collect();
        shown.join(", ")
    }

    /// Returns the number of channels.
    pub(super) fn channel_count(&self) -> usize {
        self.channels.len()
    }
}

impl Layout {
    pub(super) fn in_order(cell_count: usize) -> Self {
        let columns = (0..cell_count).collect();
        Self { columns, time: Vec::new(), cell_count: Some(cell_count), is_known: false }
    }

    pub(super) fn set_columns(&mut self, columns: Vec<usize>) {
        self.columns = columns;
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Takes the number of cells of the first row, unless it is known.
    pub(super) fn keep_cell_count(&mut self, record: Record<'_>) {
        if self.cell_count.is_none() {
            self.cell_count = Some(filled_cells(record).max(self.min_cells()));
        }
    }

    /// Reads a row.
    pub(super) fn read(
        &self,
        record: Record<'_>,
        wanted: &WantedColumns,
        numbers: &NumberReader,
        has_comma_separator: bool,
    ) -> Result<TableRow, CsvError> {
        let mut row = TableRow {
            line: record.line,
            values: Vec::with_capacity(self.columns.len()),
            time: None,
            measured_at: None,
            missing: None,
            has_known_columns: self.is_known,
        };
        self.check_cell_count(record)?;
        for &column in &self.columns {
            let cell = record.cell(column);
            match numbers.read(cell, has_comma_separator) {
                Cell::Number(number) => row.values.push(number),
                Cell::Missing => {
                    row.values.push(f32::NAN);
                    row.missing.get_or_insert_with(|| (column + 1, shorten(cell)));
                }
                Cell::Other => return Err(invalid_number(record.line, column, cell)),
            }
        }
        if let Some(&column) = self.time.first() {
            let text: Vec<&str> = self.time.iter().map(|&column| record.cell(column)).collect();
            let text = text.join(" ");
            let Some(time) = parse_time(text.trim(), wanted.spec.time_format) else {
                let cell = shorten(text.trim());
                return Err(CsvError::InvalidTime { line: record.line, column: column + 1, cell });
            };
            (row.time, row.measured_at) = (Some(time.seconds), time.moment(wanted.spec.time_zone));
        }
        Ok(row)
    }

    /// Lets `learn` see the cells of a row that were read as numbers.
    pub(super) fn learn(&self, record: Record<'_>, numbers: &mut NumberReader) {
        self.columns.iter().for_each(|&column| numbers.learn(record.cell(column)));
    }

    /// Checks that a row has as many cells as the first record. Empty cells at the end of a line do not count, because
    /// many loggers write a separator there.
    fn check_cell_count(&self, record: Record<'_>) -> Result<(), CsvError> {
        let (columns, expected) = (record.cell_count(), self.cell_count.unwrap_or(self.min_cells()));
        let has_too_many = self.cell_count.is_some() && filled_cells(record) > expected;
        if columns >= expected && !has_too_many {
            return Ok(());
        }
        Err(CsvError::ColumnCount { line: record.line, columns, expected })
    }

    /// Returns the least number of cells with which all columns exist.
    fn min_cells(&self) -> usize {
        self.columns.iter().chain(&self.time).max().map_or(0, |last| last + 1)
    }
}

impl TableRow {
    /// Returns the numbers of a row in which none is missing.
    ///
    /// # Errors
    /// [`CsvError::InvalidNumber`] for the first missing one.
    pub fn into_complete_values(self) -> Result<Vec<f32>, CsvError> {
        match self.missing {
            None => Ok(self.values),
            Some((column, cell)) => Err(CsvError::InvalidNumber { line: self.line, column, cell }),
        }
    }
}

fn invalid_number(line: u64, column: usize, cell: &str) -> CsvError {
    CsvError::InvalidNumber { line, column: column + 1, cell: shorten(cell) }
}

/// Returns the number of cells up to the last one that is not empty.
pub(super) fn filled_cells(record: Record<'_>) -> usize {
    (0..record.cell_count()).rev().find(|&column| !record.cell(column).is_empty()).map_or(0, |last| last + 1)
}

/// Returns the index of a column that is not taken: the one with exactly this name, or the only one whose name differs in
/// case or by a unit in brackets.
fn find_column(record: Record<'_>, column: &ColumnRef, taken: &[usize]) -> Option<usize> {
    let name = match column {
        ColumnRef::Number(number) => {
            let index = number.saturating_sub(1) as usize;
            return (index < record.cell_count()).then_some(index);
        }
        ColumnRef::Name(name) => name.trim(),
    };
    let is_free = |index: &usize| !taken.contains(index);
    let mut indices = (0..record.cell_count()).filter(is_free);
    if let Some(exact) = indices.find(|&index| record.cell(index) == name) {
        return Some(exact);
    }
    let mut similar = (0..record.cell_count()).filter(|&index| is_similar(record.cell(index), name));
    similar.next().filter(|index| is_free(index) && similar.next().is_none())
}

/// Returns whether a cell is a name except for its case, or for a unit in brackets at its end.
fn is_similar(cell: &str, name: &str) -> bool {
    let same = |cell: &str| !cell.is_empty() && cell.to_lowercase() == name.to_lowercase();
    same(cell) || same(without_unit(cell))
}

fn without_unit(cell: &str) -> &str {
    let unit_start = match cell.chars().last() {
        Some(')') => cell.rfind('('),
        Some(']') => cell.rfind('['),
        _ => None,
    };
    unit_start.map_or(cell, |start| cell[..start].trim_end())
}

fn show_column(column: &ColumnRef) -> String {
    match column {
        ColumnRef::Number(number) => format!("column {number}"),
        ColumnRef::Name(name) => name.clone(),
    }
}
