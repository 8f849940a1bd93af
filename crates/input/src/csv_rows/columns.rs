use super::{
    error::{CsvError, shorten},
    record::Record,
};

/// The channels of a table and their columns, which the first record decides.
#[derive(Debug)]
pub(super) struct Columns {
    channels: Vec<String>,
    /// `None` until the first record was understood.
    layout: Option<Layout>,
}

/// The columns of a table.
#[derive(Debug)]
struct Layout {
    /// Column index of each channel.
    columns: Vec<usize>,
    /// Number of cells per record.
    cell_count: usize,
}

impl Columns {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self { channels, layout: None }
    }

    /// Returns the numbers of a record, one per channel; `None` for a header.
    pub(super) fn read(&mut self, record: Record<'_>) -> Result<Option<Vec<f32>>, CsvError> {
        let Some(layout) = &self.layout else { return self.read_first(record) };
        match layout.numbers(record) {
            Ok(numbers) => Ok(Some(numbers)),
            Err(error) => {
                self.layout = Some(Layout::by_name(record, &self.channels).ok_or(error)?);
                Ok(None)
            }
        }
    }

    /// Reads the first record as a header and returns its names, which become the channels. A record that has
    /// the name `marker` is a header even if other names are numbers.
    pub(super) fn read_header(&mut self, record: Record<'_>, marker: &str) -> Result<Vec<String>, CsvError> {
        let layout = Layout::in_order(record.cell_count());
        if !is_header(record) && !record.cells().any(|cell| cell == marker) {
            layout.numbers(record)?;
            return Err(CsvError::NoHeader { line: record.line });
        }
        self.layout = Some(layout);
        self.channels = record.cells().map(Into::into).collect();
        Ok(self.channels.clone())
    }

    /// Replaces the channels by those in these columns, after the header was read.
    pub(super) fn select(&mut self, columns: Vec<usize>) {
        let channels = columns.iter().map(|&column| self.channels.get(column).cloned().unwrap_or_default());
        self.channels = channels.collect();
        if let Some(layout) = &mut self.layout {
            layout.columns = columns;
        }
    }

    /// Reads a record before the columns are known, by the rules of the module's page.
    fn read_first(&mut self, record: Record<'_>) -> Result<Option<Vec<f32>>, CsvError> {
        if let Some(layout) = Layout::by_name(record, &self.channels) {
            self.layout = Some(layout);
            return Ok(None);
        }
        let (line, columns) = (record.line, record.cell_count());
        let channels = self.channels.iter().map(String::as_str);
        let missing: Vec<&str> =
            channels.filter(|channel| record.cells().all(|cell| cell != *channel)).collect();
        let is_row = record.cells().all(|cell| parse_number(cell).is_some());
        if missing.len() < self.channels.len() && !is_row {
            return Err(CsvError::MissingChannels { line, columns, missing: missing.join(", ") });
        }
        if columns != self.channels.len() {
            return Err(CsvError::UnnamedColumns { line, columns, channels: self.channels.join(", ") });
        }
        let layout = Layout::in_order(columns);
        let numbers = if is_header(record) { None } else { Some(layout.numbers(record)?) };
        self.layout = Some(layout);
        Ok(numbers)
    }
}

impl Layout {
    fn in_order(cell_count: usize) -> Self {
        Self { columns: (0..cell_count).collect(), cell_count }
    }

    /// Returns the columns of a header that names all channels; `None` for any other record.
    fn by_name(record: Record<'_>, channels: &[String]) -> Option<Self> {
        let cell_count = record.cell_count();
        let mut columns = Vec::with_capacity(channels.len());
        for channel in channels {
            // Channels of the same name have different columns.
            let column = (0..cell_count)
                .find(|column| record.cell(*column) == channel && !columns.contains(column))?;
            columns.push(column);
        }
        Some(Self { columns, cell_count })
    }

    /// Returns the numbers of a row, one per channel.
    fn numbers(&self, record: Record<'_>) -> Result<Vec<f32>, CsvError> {
        let (line, columns) = (record.line, record.cell_count());
        let numbers = self.columns.iter().map(|&column| {
            let cell = record.cell(column);
            parse_number(cell).ok_or_else(|| CsvError::InvalidNumber {
                line,
                column: column + 1,
                cell: shorten(cell),
            })
        });
        let numbers = numbers.collect::<Result<_, _>>()?;
        if columns != self.cell_count {
            return Err(CsvError::ColumnCount { line, columns, expected: self.cell_count });
        }
        Ok(numbers)
    }
}

fn parse_number(cell: &str) -> Option<f32> {
    cell.parse().ok().filter(|number: &f32| number.is_finite())
}

/// Returns whether no cell is a number, finite or not, and at least one is not empty.
fn is_header(record: Record<'_>) -> bool {
    record.cells().all(|cell| cell.parse::<f32>().is_err()) && record.cells().any(|cell| !cell.is_empty())
}
